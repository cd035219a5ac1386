import Tensors
import Testing

@Suite struct RandomStreamTests {
  private static let purposes: [RandomStream.Purpose] = [
    .initialValue, .dropout, .order, .augmentation, .synthetic, .simulation,
  ]

  @Test func `streams that differ in anything are different`() {
    var streams: [RandomStream] = []
    for seed in [UInt64(0), 1, 1 << 32] {
      for purpose in Self.purposes {
        for first in [UInt64(0), 1, 1 << 32] {
          for second in [UInt32(0), 1] {
            streams.append(
              RandomStream(seed: seed, purpose: purpose, first: first, second: second))
          }
        }
      }
    }
    let words = streams.map { stream in (0..<4).map { stream.word(at: $0) } }
    #expect(Set(words).count == streams.count)
  }

  @Test func `streams of neighbouring coordinates are uncorrelated`() {
    let count = 20_000
    func uniforms(_ stream: RandomStream) -> [Double] {
      (0..<count).map { Double(RandomStream.uniform(stream.word(at: UInt64($0)))) - 0.5 }
    }
    let base = uniforms(RandomStream(seed: 7, purpose: .dropout, first: 10, second: 2))
    let others = [
      RandomStream(seed: 8, purpose: .dropout, first: 10, second: 2),
      RandomStream(seed: 7, purpose: .augmentation, first: 10, second: 2),
      RandomStream(seed: 7, purpose: .dropout, first: 11, second: 2),
      RandomStream(seed: 7, purpose: .dropout, first: 10, second: 3),
    ]
    for other in others {
      let products = zip(base, uniforms(other)).map { $0 * $1 }
      // Standard deviation of the correlation is 1 / sqrt(count); five of them.
      let correlation = products.reduce(0, +) / Double(count) * 12
      #expect(abs(correlation) < 5 / Double(count).squareRoot())
    }
  }

  @Test func `a word is the same alone, in its block and in a sequence`() {
    let stream = RandomStream(seed: 3, purpose: .synthetic, first: 9)
    for lane in [UInt32(0), 5] {
      var sequence = RandomSequence(stream, lane: lane)
      for index in 0..<20 {
        let word = stream.word(at: UInt64(index), lane: lane)
        #expect(word == stream.words(UInt64(index / 4), lane)[index % 4])
        #expect(word == sequence.nextWord())
      }
    }
    #expect(stream.words(0, 0) != stream.words(0, 1))
    #expect(stream.words(0) != stream.words(1 << 32))
  }

  @Test func `a sequence's 64 bits are two words, the lower first`() {
    let stream = RandomStream(seed: 3, purpose: .simulation)
    var sequence = RandomSequence(stream)
    let first = sequence.next()
    #expect(UInt32(truncatingIfNeeded: first) == stream.word(at: 0))
    #expect(UInt32(truncatingIfNeeded: first >> 32) == stream.word(at: 1))
  }

  @Test func `names make streams of their own`() {
    let names = ["", "a", "b", "ab", "ba", "features.0.weight", "features.0.bias"]
    let words = names.map { name in
      RandomStream(seed: 1, purpose: .initialValue, name: name).words(0)
    }
    #expect(Set(words).count == names.count)
    #expect(
      RandomStream(seed: 1, purpose: .initialValue, name: "a").words(0)
        == RandomStream(seed: 1, purpose: .initialValue, name: "a").words(0))
  }

  @Test func `uniforms lie strictly between 0 and 1`() {
    #expect(RandomStream.uniform(0) == 0x1p-24)
    #expect(RandomStream.uniform(0x1FF) == 0x1p-24)
    #expect(RandomStream.uniform(1 << 31) == 0.5 + 0x1p-24)
  }

  @Test(arguments: [0xFFFF_FF00, UInt32.max])
  func `the largest words' uniforms lie below 1 too`(word: UInt32) {
    // A normal quantile of 1 would end the process.
    #expect(RandomStream.uniform(word) < 1)
  }

  @Test(arguments: [1, 2, 3, 10, 1000, UInt32.max])
  func `numbers below a bound reach from 0 to just below it`(bound: UInt32) {
    #expect(RandomStream.below(bound, 0) == 0)
    #expect(RandomStream.below(bound, .max) == bound - 1)
  }

  @Test func `uniforms are uniform`() {
    // 100 bins of 1000 expected: chi-squared with 99 degrees of freedom, p = 1e-5 at 170.
    let stream = RandomStream(seed: 20, purpose: .dropout)
    var bins = [Int](repeating: 0, count: 100)
    for index in 0..<UInt64(100_000) {
      bins[Int(RandomStream.uniform(stream.word(at: index)) * 100)] += 1
    }
    let chi = bins.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(chi > 45 && chi < 170)
  }
}
