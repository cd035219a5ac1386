/// bfloat16: the upper half of a 32-bit float. Storage only; arithmetic is done in `Float`.
package struct BFloat16: BitwiseCopyable, Hashable, Sendable {
  package var bits: UInt16

  package init(bits: UInt16) { self.bits = bits }

  /// Rounds to nearest, ties to even; NaN stays a (quiet) NaN.
  @inline(__always)
  package init(_ value: Float) {
    let pattern = value.bitPattern
    if value.isNaN {
      bits = UInt16(truncatingIfNeeded: pattern >> 16) | 0x40
      return
    }
    let rounding: UInt32 = 0x7FFF + ((pattern >> 16) & 1)
    bits = UInt16(truncatingIfNeeded: (pattern &+ rounding) >> 16)
  }

  @inline(__always)
  package var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
