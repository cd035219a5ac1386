import FoundationEssentials

/// Pictures and guesses as JSON: the pixels in base64.
struct SampleRecord: Codable, Hashable, Sendable {
  struct Guess: Codable, Hashable, Sendable {
    var `class`: Int
    var probability: Float
  }

  struct Sample: Codable, Hashable, Sendable {
    var label: Int
    /// Bytes of `[height, width, channels]` in base64.
    var pixels: String
    /// The likeliest first.
    var guesses: [Guess]
  }

  var step: UInt64
  var height: Int
  var width: Int
  /// 1 (grey) or 3 (red, green, blue).
  var channels: Int
  /// Left out where the classes have no names.
  var classNames: [String]?
  var samples: [Sample]

  init(_ snapshot: SampleSnapshot) {
    step = snapshot.step
    height = snapshot.height
    width = snapshot.width
    channels = snapshot.channels
    classNames = snapshot.classNames.isEmpty ? nil : snapshot.classNames
    samples = snapshot.samples.map { sample in
      Sample(
        label: sample.label, pixels: Data(sample.pixels).base64EncodedString(),
        guesses: sample.guesses.map { Guess(class: $0.index, probability: $0.probability) })
    }
  }
}
