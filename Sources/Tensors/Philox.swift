/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy
/// as 1, 2, 3" (SC'11): four random words are a pure function of a counter and a key.
///
/// There is no state, so any node can draw any number of any step without having drawn the ones
/// before: that is what makes the trajectory independent of the cluster's shape.
package enum Philox {
  package typealias Words = SIMD4<UInt32>

  /// The ten rounds.
  @inline(__always)
  package static func words(counter: Words, key: SIMD2<UInt32>) -> Words {
    var c = counter
    var k = key
    for round in 0..<10 {
      if round > 0 { k = k &+ SIMD2(0x9E37_79B9, 0xBB67_AE85) }
      let first = UInt64(0xD251_1F53) * UInt64(c[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(c[2])
      c = Words(
        UInt32(truncatingIfNeeded: second >> 32) ^ c[1] ^ k[0],
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ c[3] ^ k[1],
        UInt32(truncatingIfNeeded: first))
    }
    return c
  }
}
