import Tensors
import Testing

@Suite struct BFloat16Tests {
  @Test(
    arguments: [
      (1.0, 0x3F80), (-2.0, 0xC000), (0.0, 0), (-0.0, 0x8000), (Float.infinity, 0x7F80),
      (-Float.infinity, 0xFF80),
      // Halfway between 1 and the next: to even, down and up.
      (Float(bitPattern: 0x3F80_8000), 0x3F80), (Float(bitPattern: 0x3F81_8000), 0x3F82),
      // Just beside halfway.
      (Float(bitPattern: 0x3F80_7FFF), 0x3F80), (Float(bitPattern: 0x3F80_8001), 0x3F81),
      // Rounding that carries into the exponent, and over the edge.
      (Float(bitPattern: 0x3FFF_FFFF), 0x4000), (Float.greatestFiniteMagnitude, 0x7F80),
      // The smallest subnormals.
      (Float(bitPattern: 1), 0), (Float(bitPattern: 0x8001), 1), (Float(bitPattern: 0x1_8000), 2),
    ] as [(Float, UInt16)])
  func `rounding is to nearest, ties to even`(value: Float, bits: UInt16) {
    #expect(BFloat16(value).bits == bits)
  }

  @Test(arguments: [
    Float.nan, Float.signalingNaN, -Float.nan, Float(bitPattern: 0x7F80_0001),
    Float(bitPattern: 0xFFFF_FFFF),
  ])
  func `not-a-number stays one and becomes quiet`(value: Float) {
    let rounded = BFloat16(value).float
    #expect(rounded.isNaN)
    #expect(!rounded.isSignalingNaN)
    #expect(rounded.sign == value.sign)
  }

  @Test func `every bfloat16 comes back through a float`() {
    for bits in UInt16.min...UInt16.max {
      let value = BFloat16(bits: bits)
      if value.float.isNaN { continue }
      if BFloat16(value.float) != value {
        Issue.record("\(bits) comes back as \(BFloat16(value.float).bits)")
        return
      }
    }
  }

  @Test func `the error is half a unit of 8 bits at most`() {
    var sequence = RandomSequence(RandomStream(seed: 1, purpose: .simulation))
    for _ in 0..<20_000 {
      let value = Float(bitPattern: sequence.nextWord())
      guard value.isNormal, value.magnitude < 0x1.FEp127 else { continue }
      let error = abs(Double(BFloat16(value).float) - Double(value))
      #expect(error <= Double(value.magnitude) * 0x1p-8)
    }
  }
}
