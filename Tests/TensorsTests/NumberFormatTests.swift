import Testing

@testable import Tensors

@Suite struct NumberFormatTests {
  private let pool = FramePool()

  @Test func `what bf16 can hold comes back as it was`() {
    let values: [Float] = [0, -0.0, 1, -2.5, 0.15625, 3.0e38, -1e-30, .infinity]
    let held = values.map { BFloat16($0).float }
    let there = pool.pack([Frame(copying: held)], as: .bf16)
    #expect(there.map(\.byteCount) == [held.count * 2])
    #expect(Array(pool.unpack(there, from: .bf16)[0].floats) == held)
  }

  @Test func `fp32 is not touched`() {
    let frame = Frame(copying: [Float(0.1), 0.2])
    let there = pool.pack([frame], as: .fp32)
    #expect(Array(pool.unpack(there, from: .fp32)[0].floats) == [0.1, 0.2])
  }

  @Test func `rounding is to the nearest, ties to even`() {
    // Between 1 and 1 + 2^-7 lie the neighbours of bf16.
    let values: [Float] = [1 + 0x1p-9, 1 + 0x1p-8, 1 + 0x1.8p-8, 1 + 0x1.8p-7]
    let there = pool.unpack(pool.pack([Frame(copying: values)], as: .bf16), from: .bf16)
    #expect(Array(there[0].floats) == [1, 1, 1 + 0x1p-7, 1 + 0x1p-6])
  }

  @Test func `with error feedback nothing is lost in the long run`() {
    let values: [Float] = [0.1, -1.003, 7e-6]
    var error = [Float](repeating: 0, count: values.count)
    var sum = [Double](repeating: 0, count: values.count)
    let rounds = 1000
    for _ in 0..<rounds {
      let frame = values.withUnsafeBufferPointer { source in
        error.withUnsafeMutableBufferPointer { error in
          pool.pack(
            source.baseAddress!, count: source.count, adding: error.baseAddress!,
            leaving: error.baseAddress!)
        }
      }
      for (index, value) in pool.unpack([frame], from: .bf16)[0].floats.enumerated() {
        sum[index] += Double(value)
      }
    }
    for (index, value) in values.enumerated() {
      let exact = Double(value) * Double(rounds)
      // What is missing is what one frame can leave out.
      #expect(abs(sum[index] - exact) <= abs(Double(value)) * 0x1p-7)
      // Rounding alone would be off by far more than that.
      let plain = Double(BFloat16(value).float) * Double(rounds)
      #expect(abs(plain - exact) > abs(sum[index] - exact) * 10)
    }
  }

  @Test func `an infinite gradient is seen and not carried along`() {
    var earlier: Float = 0
    var error: Float = 1
    var value = Float.infinity
    let frame = pool.pack(&value, count: 1, adding: &earlier, leaving: &error)
    #expect(pool.unpack([frame], from: .bf16)[0].floats[0] == .infinity)
    #expect(error == 0)
  }
}
