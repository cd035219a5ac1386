import Tensors

/// What bf16 takes away from a worker's gradients: carried to the next step, so that in the long
/// run nothing is lost (error feedback; Seide et al. 2014, section 3).
///
/// A step that is run again (in a new view) begins with what the steps before it left out, not with
/// what its first attempt did, and what a step that nobody applies left out is not owed. A new process
/// begins with none, and so does one that goes back to a checkpoint: with bf16 gradients a resumed run,
/// or one that has lost a worker, is within rounding of the undisturbed one. Belongs to one thread.
final class RoundingErrors {
  private struct Stage {
    /// Left out by the steps that are done.
    let earlier: AlignedBuffer
    /// Left out by the present step, once it is packed.
    let present: AlignedBuffer
  }

  private var stages: [Stage]
  private var step: UInt64?
  /// Whether anything of the present step was packed.
  private var isPacked = false
  /// Whether the step before was packed, so that its beginning exchanged the two.
  private var isExchanged = false

  /// - Parameter counts: parameters of each stage.
  init(counts: [Int]) {
    stages = counts.map {
      Stage(earlier: AlignedBuffer(floats: $0), present: AlignedBuffer(floats: $0))
    }
  }

  /// The gradients that come now are of this step, which may be the same again.
  func begin(step: UInt64) {
    let last = self.step
    self.step = step
    guard let last, step != last else { return }
    if step == last + 1 {
      isExchanged = isPacked
      if isPacked { exchange() }
    } else if step + 1 == last, !isPacked {
      // The step was begun ahead of the word that the one before is to be run again.
      if isExchanged { exchange() }
      isExchanged = false
    } else {
      for stage in stages { stage.earlier.floats.update(repeating: 0) }
      isExchanged = false
    }
    isPacked = false
  }

  /// The present step, or the one before while nothing of the present one is packed, is applied by
  /// nobody.
  func forget(step: UInt64) {
    if step == self.step {
      isPacked = false
    } else if step + 1 == self.step, isExchanged, !isPacked {
      exchange()
      isExchanged = false
    }
  }

  /// Makes a bf16 frame of a part of a stage's gradient.
  ///
  /// - Parameters:
  ///   - values: the whole stage's.
  ///   - range: the part. Each part must come in each step.
  func pack(
    _ values: UnsafePointer<Float>, stage: Int, range: Range<Int>, pool: FramePool
  ) -> Frame {
    isPacked = true
    return pool.pack(
      values + range.lowerBound, count: range.count,
      adding: stages[stage].earlier.floatPointer + range.lowerBound,
      leaving: stages[stage].present.floatPointer + range.lowerBound)
  }

  private func exchange() {
    stages = stages.map { Stage(earlier: $0.present, present: $0.earlier) }
  }
}
