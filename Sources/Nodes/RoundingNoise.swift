import Network
import Tensors
import Training

/// What rounding alone does to a step's gradients.
///
/// Sums in another order differ in the last bit, and where an activation is within a last bit of 0
/// (or two of a pooling window are of each other), that bit decides whether a gradient goes
/// through: the gradients then jump by a part in a thousand, and nothing is wrong. Of 380
/// steps of the preset fashion on five shapes one was such.
enum RoundingNoise {
  /// Disturbances tried before a difference is taken for an error. Each may or
  /// may not turn a close call over; more find it more surely and take longer.
  private static let attempts: UInt32 = 24
  /// A difference up to so many times what a disturbance made is explained by it.
  private static let factor: Float = 4

  /// Which differences of a part of the single process's next step a disturbance of its input by
  /// 2^-22 explains; the gradients stay as they are.
  ///
  /// - Parameter suspects: differences by the parameters' keys.
  static func explained(
    _ suspects: [Int: Float], _ trainer: SingleProcessTrainer, part: Int
  ) throws(TrainingError) -> Set<Int> {
    let gradients = trainer.gradients(part: part)
    let kept = gradients.map { copy($0.values, $0.entry.shape.count) }
    defer {
      for (gradient, values) in zip(gradients, kept) {
        gradient.values.update(from: values.floatPointer, count: gradient.entry.shape.count)
      }
    }
    _ = try trainer.computeGradients(part: part)
    let undisturbed = gradients.filter { suspects[$0.entry.key] != nil }.map {
      (entry: $0.entry, values: $0.values, before: copy($0.values, $0.entry.shape.count))
    }
    var explained: Set<Int> = []
    for attempt in 1...attempts where explained.count < suspects.count {
      _ = try trainer.computeGradients(part: part, jitter: attempt)
      for (entry, values, before) in undisturbed {
        let noise = MaximumNorm.ofDifference(
          values, before.floatPointer, count: entry.shape.count)
        // Not-a-number on both sides explains nothing.
        if noise.isFinite, let difference = suspects[entry.key], difference <= factor * noise {
          explained.insert(entry.key)
        }
      }
    }
    // What the next part finds is as it was.
    if part < trainer.parts - 1 { _ = try trainer.computeGradients(part: part) }
    return explained
  }

  private static func copy(_ values: UnsafeMutablePointer<Float>, _ count: Int) -> AlignedBuffer {
    let buffer = AlignedBuffer(floats: count)
    buffer.floatPointer.update(from: values, count: count)
    return buffer
  }
}
