import Tensors

/// What bf16 takes away from a worker's gradients: carried to the next step, so that in the long
/// run nothing is lost (error feedback; Seide et al. 2014, section 3).
///
/// A step that is run again (in a new view) begins with what the steps before it left out, not with
/// what its first attempt did. A new process begins with none: with bf16 gradients a resumed run, or
/// one that has lost a worker, is within rounding of the undisturbed one. Belongs to one thread.
final class RoundingErrors {
  private struct Stage {
    /// Left out by the steps that are done.
    let earlier: AlignedBuffer
    /// Left out by the present step.
    let present: AlignedBuffer
  }

  private var stages: [Stage]
  private var step: UInt64?

  /// - Parameter counts: parameters of each stage.
  init(counts: [Int]) {
    stages = counts.map {
      Stage(earlier: AlignedBuffer(floats: $0), present: AlignedBuffer(floats: $0))
    }
  }

  /// The gradients that come now are of this step, which may be the same again.
  func begin(step: UInt64) {
    guard step != self.step else { return }
    if self.step != nil {
      stages = stages.map { Stage(earlier: $0.present, present: $0.earlier) }
    }
    self.step = step
  }

  /// Makes a bf16 frame of a part of a stage's gradient.
  ///
  /// - Parameters:
  ///   - values: the whole stage's.
  ///   - range: the part. Each part must come in each step.
  func pack(
    _ values: UnsafePointer<Float>, stage: Int, range: Range<Int>, pool: FramePool
  ) -> Frame {
    pool.pack(
      values + range.lowerBound, count: range.count,
      adding: stages[stage].earlier.floatPointer + range.lowerBound,
      leaving: stages[stage].present.floatPointer + range.lowerBound)
  }
}
