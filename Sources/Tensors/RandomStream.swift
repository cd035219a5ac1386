/// Random numbers keyed by what they are for, never by who draws them (docs/design.md, "One invariant").
///
/// | purpose | drawn as a function of |
/// |---|---|
/// | `.initialValue` | seed, parameter name, element index |
/// | `.dropout` | seed, step, layer, position in the global batch, unit |
/// | `.order` | seed, epoch |
/// | `.augmentation` | seed, epoch, example |
/// | `.classSample` | seed, step, class |
package struct RandomStream: Sendable {
  /// What the numbers are for: streams of different purposes share no counter block.
  package enum Purpose: UInt32, Sendable {
    case initialValue = 1
    case dropout = 2
    case order = 3
    case augmentation = 4
    case synthetic = 5
    case simulation = 6
    case classSample = 7
  }

  private let key: SIMD2<UInt32>

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - purpose: what is drawn.
  ///   - first: first coordinate, e.g. the hash of a name, or the step or epoch.
  ///   - second: second coordinate, e.g. the layer.
  package init(seed: UInt64, purpose: Purpose, first: UInt64 = 0, second: UInt32 = 0) {
    // Two passes of the generator turn (seed, purpose, first, second) into a key of its own.
    let words = Philox.words(
      counter: .init(
        UInt32(truncatingIfNeeded: first), UInt32(truncatingIfNeeded: first >> 32), second,
        purpose.rawValue),
      key: .init(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    key = SIMD2(words[0], words[1])
  }

  /// A stream named by a string, e.g. a parameter's.
  package init(seed: UInt64, purpose: Purpose, name: String) {
    // FNV-1a, 64 bit: names are few and chosen by us, so any well-mixed hash will do.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    self.init(seed: seed, purpose: purpose, first: hash)
  }

  /// Four words at a position of the stream.
  @inline(__always)
  package func words(_ position: UInt64, _ lane: UInt32 = 0) -> Philox.Words {
    Philox.words(
      counter: .init(
        UInt32(truncatingIfNeeded: position), UInt32(truncatingIfNeeded: position >> 32), lane, 0),
      key: key)
  }

  /// The word of element `index`: word `index % 4` of position `index / 4`.
  package func word(at index: UInt64, lane: UInt32 = 0) -> UInt32 {
    words(index / 4, lane)[Int(index % 4)]
  }

  /// A uniform number in (0, 1) with 23 bits, never 0 nor 1: (word / 512 + 0.5) / 2^23, exactly.
  ///
  /// One bit more would not fit the significand: the largest word would round up to 1, whose
  /// normal quantile is infinite.
  @inline(__always)
  package static func uniform(_ word: UInt32) -> Float {
    (Float(word >> 9) + 0.5) * 0x1p-23
  }

  /// A uniform number below `bound` without modulo bias beyond 2^-32 (Lemire's multiply-shift).
  @inline(__always)
  package static func below(_ bound: UInt32, _ word: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: (UInt64(word) * UInt64(bound)) >> 32)
  }
}

/// A sequence of words of one stream, for code that draws an unknown number of them in order.
package struct RandomSequence: RandomNumberGenerator, Sendable {
  private let stream: RandomStream
  private let lane: UInt32
  private var index: UInt64 = 0

  package init(_ stream: RandomStream, lane: UInt32 = 0) {
    self.stream = stream
    self.lane = lane
  }

  package mutating func nextWord() -> UInt32 {
    defer { index += 1 }
    return stream.word(at: index, lane: lane)
  }

  package mutating func next() -> UInt64 {
    UInt64(nextWord()) | UInt64(nextWord()) << 32
  }
}
