/// A few pictures of the evaluation set and what the network takes them for.
package struct SampleSnapshot: Hashable, Sendable {
  /// A class and how likely it is.
  package struct Guess: Hashable, Sendable {
    package var index: Int
    /// 0...1.
    package var probability: Float

    package init(index: Int, probability: Float) {
      self.index = index
      self.probability = probability
    }
  }

  /// One picture.
  package struct Sample: Hashable, Sendable {
    /// The class it has.
    package var label: Int
    /// `[height, width, channels]`.
    package var pixels: [UInt8]
    /// The likeliest first.
    package var guesses: [Guess]

    package init(label: Int, pixels: [UInt8], guesses: [Guess]) {
      self.label = label
      self.pixels = pixels
      self.guesses = guesses
    }
  }

  /// Steps done.
  package var step: UInt64
  package var height: Int
  package var width: Int
  /// 1 or 3.
  package var channels: Int
  /// Empty where the classes have no names.
  package var classNames: [String]
  package var samples: [Sample]

  package init(
    step: UInt64, height: Int, width: Int, channels: Int, classNames: [String], samples: [Sample]
  ) {
    self.step = step
    self.height = height
    self.width = width
    self.channels = channels
    self.classNames = classNames
    self.samples = samples
  }
}
