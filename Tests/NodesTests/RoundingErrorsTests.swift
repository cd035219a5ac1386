import Tensors
import Testing

@testable import Nodes

@Suite struct RoundingErrorsTests {
  private let pool = FramePool()
  /// Each loses something in bf16.
  private let gradient: [Float] = [0.1, -1.003, 7e-6, 3.3]

  private func push(_ errors: RoundingErrors, step: UInt64) -> [Float] {
    errors.begin(step: step)
    return gradient.withUnsafeBufferPointer { values in
      [0..<1, 1..<4].flatMap { range in
        let frame = errors.pack(values.baseAddress!, stage: 0, range: range, pool: pool)
        return Array(pool.unpack([frame], from: .bf16)[0].floats)
      }
    }
  }

  @Test func `a step that is run again sends what it sent`() {
    let undisturbed = RoundingErrors(counts: [4])
    let disturbed = RoundingErrors(counts: [4])
    for step in 5..<20 as Range<UInt64> {
      let expected = push(undisturbed, step: step)
      for _ in 0..<(step % 3 + 1) { #expect(push(disturbed, step: step) == expected) }
    }
  }

  @Test func `what a step leaves out comes with a later one`() {
    let errors = RoundingErrors(counts: [4])
    var sum = [Double](repeating: 0, count: 4)
    for step in 0..<1000 as Range<UInt64> {
      for (index, value) in push(errors, step: step).enumerated() { sum[index] += Double(value) }
    }
    for (value, total) in zip(gradient, sum) {
      #expect(abs(total - 1000 * Double(value)) <= abs(Double(value)) * 0x1p-7)
    }
  }

  /// Two begin alike; what is done to one of them in between must leave no trace.
  private func expectNoTrace(_ disturb: (RoundingErrors, _ next: UInt64) -> Void) {
    let undisturbed = RoundingErrors(counts: [4])
    let disturbed = RoundingErrors(counts: [4])
    for step in 0..<3 as Range<UInt64> {
      #expect(push(disturbed, step: step) == push(undisturbed, step: step))
    }
    disturb(disturbed, 3)
    for step in 3..<12 as Range<UInt64> {
      #expect(push(disturbed, step: step) == push(undisturbed, step: step))
    }
  }

  @Test func `a step that was begun ahead of the one before is begun again`() {
    expectNoTrace { errors, next in
      errors.begin(step: next)
      _ = push(errors, step: next - 1)
    }
  }

  @Test func `what a step that nobody applies left out is not owed`() {
    func huge(_ errors: RoundingErrors, _ step: UInt64) {
      errors.begin(step: step)
      [Float](repeating: 1.003e30, count: 4).withUnsafeBufferPointer { values in
        _ = errors.pack(values.baseAddress!, stage: 0, range: 0..<4, pool: pool)
      }
    }
    // The numbers of the steps go on, so the undisturbed one is asked for later ones.
    for isAhead in [false, true] {
      let undisturbed = RoundingErrors(counts: [4])
      let disturbed = RoundingErrors(counts: [4])
      for step in 0..<3 as Range<UInt64> {
        #expect(push(disturbed, step: step) == push(undisturbed, step: step))
      }
      huge(disturbed, 3)
      if isAhead { disturbed.begin(step: 4) }
      disturbed.forget(step: 3)
      for step in 3..<12 as Range<UInt64> {
        #expect(push(disturbed, step: step + 1) == push(undisturbed, step: step))
      }
    }
  }

  @Test func `a step of which nothing was packed takes nothing away`() {
    let undisturbed = RoundingErrors(counts: [4])
    let disturbed = RoundingErrors(counts: [4])
    for step in 0..<3 as Range<UInt64> {
      #expect(push(disturbed, step: step) == push(undisturbed, step: step))
    }
    // Refused by an FC node before anything came back.
    disturbed.begin(step: 3)
    disturbed.forget(step: 3)
    for step in 3..<12 as Range<UInt64> {
      #expect(push(disturbed, step: step + 1) == push(undisturbed, step: step))
    }
  }

  @Test func `who goes back to a checkpoint begins with none`() {
    let errors = RoundingErrors(counts: [4])
    for step in 0..<9 as Range<UInt64> { _ = push(errors, step: step) }
    let fresh = RoundingErrors(counts: [4])
    for step in 4..<9 as Range<UInt64> {
      #expect(push(errors, step: step) == push(fresh, step: step))
    }
  }
}
