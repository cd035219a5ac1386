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
}
