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
    // On scalars: vector registers would have to be taken apart for every 64-bit product (three to
    // nine times slower).
    var (a, b, c, d) = (counter[0], counter[1], counter[2], counter[3])
    var (left, right) = (key[0], key[1])
    for round in 0..<10 {
      if round > 0 {
        left &+= 0x9E37_79B9
        right &+= 0xBB67_AE85
      }
      let first = UInt64(0xD251_1F53) * UInt64(a)
      let second = UInt64(0xCD9E_8D57) * UInt64(c)
      (a, b, c, d) = (
        UInt32(truncatingIfNeeded: second >> 32) ^ b ^ left,
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ d ^ right,
        UInt32(truncatingIfNeeded: first)
      )
    }
    return Words(a, b, c, d)
  }
}
