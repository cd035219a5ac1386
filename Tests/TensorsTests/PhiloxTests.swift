import Tensors
import Testing

@Suite struct PhiloxTests {
  /// The known answers for philox4x32, 10 rounds, that come with Random123 (file kat_vectors).
  @Test(
    arguments: [
      ([0, 0, 0, 0], [0, 0], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
      (
        Array(repeating: UInt32.max, count: 4), [.max, .max],
        [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]
      ),
      (
        [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0],
        [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
      ),
    ] as [([UInt32], [UInt32], [UInt32])])
  func `the generator gives Random123's known answers`(
    counter: [UInt32], key: [UInt32], expected: [UInt32]
  ) {
    let words = Philox.words(counter: Philox.Words(counter), key: SIMD2(key))
    #expect(words == Philox.Words(expected))
  }

  @Test func `every bit of counter and key changes about half of the output`() {
    let base = Philox.words(counter: .init(1, 2, 3, 4), key: .init(5, 6))
    func distance(_ words: Philox.Words) -> Int {
      (0..<4).reduce(0) { $0 + (words[$1] ^ base[$1]).nonzeroBitCount }
    }
    for bit in 0..<128 {
      var counter = Philox.Words(1, 2, 3, 4)
      counter[bit / 32] ^= 1 << UInt32(bit % 32)
      // Binomial(128, 1/2): 35 and 93 are five deviations away.
      #expect((35...93).contains(distance(Philox.words(counter: counter, key: .init(5, 6)))))
    }
    for bit in 0..<64 {
      var key = SIMD2<UInt32>(5, 6)
      key[bit / 32] ^= 1 << UInt32(bit % 32)
      #expect((35...93).contains(distance(Philox.words(counter: .init(1, 2, 3, 4), key: key))))
    }
  }
}
