/// What is done to pixels before the network sees them.
package enum Normalization: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
  /// `(x - mean) / deviation`, both computed for each channel over the whole training set.
  case meanDeviation = "mean-std"
  /// Grey levels, 0 to 255, less the mean of their pixel over the training set: the 2012 paper's.
  case pixelMean = "mean-pixel"
  /// The same, but always the middle of the mean picture: the author's code.
  case pixelMeanMiddle = "mean-pixel-middle"
  /// Grey levels, 0 to 255, less the mean of their channel.
  case channelMean = "mean-channel"
  /// torchvision's constants for its models of ImageNet, in place of this data set's own.
  case torchvision
  /// Pixels in 0...1 as they are.
  case none
}

/// How training examples are varied; evaluation sees the middle of each as it is.
package struct AugmentationConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Where the part of a larger picture that the network sees is taken from.
  package enum Crop: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    case random, center
  }

  /// By what the colours are shifted along a principal component of variance lambda.
  package enum ColorNoiseScale: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// sqrt(lambda), as the author's code has it.
    case deviation
    /// lambda, as the paper's text has it.
    case variance
  }

  package var crop = Crop.random
  /// Pixels added on each side before the crop.
  package var padding = 0
  package var flip = false
  /// 0: none.
  package var colorNoise = 0.0
  package var colorNoiseScale = ColorNoiseScale.deviation
  package var colorNoiseRescale = false

  package init() {}

  static var title: String { "augmentation" }
  static var fields: [Field<AugmentationConfiguration>] {
    [
      Field(
        "crop", \.crop,
        "Of pictures larger than the network's input: \"random\", or \"center\" as in evaluation."),
      Field(
        "padding", \.padding, .between(0, 1 << 12),
        "Pixels of nothing (0 after normalization) on each side before the crop."),
      Field("flip", \.flip, "Whether half of the pictures are mirrored, left to right."),
      Field(
        "colorNoise", \.colorNoise, .between(0, 10),
        "Shift of colours along their principal components; the 2012 paper's sigma is 0.1."),
      Field(
        "colorNoiseScale", \.colorNoiseScale,
        "\"deviation\": sigma counts in standard deviations of a component (the author's code);"
          + " \"variance\": in variances of colours in 0...1 (the paper's text)."),
      Field(
        "colorNoiseRescale", \.colorNoiseRescale,
        "Divide what the network sees of a picture with shifted colours by 1 + colorNoise (the"
          + " author's code)."),
    ]
  }
}

extension Field {
  /// The key "normalize" that every data set of pictures has.
  static func normalize(_ path: WritableKeyPath<Section, Normalization>) -> Field {
    Field(
      "normalize", path,
      "\"mean-std\" of each channel of the training set; \"mean-pixel\" or \"mean-channel\": grey"
        + " levels less that mean; \"mean-pixel-middle\": less the middle of the mean picture (the"
        + " author's code); \"torchvision\": its constants for ImageNet; \"none\": 0...1.")
  }

  /// The key "augmentation" that every data set of pictures has.
  static func augmentation(
    _ path: WritableKeyPath<Section, AugmentationConfiguration>
  ) -> Field { Field("augmentation", path, "How training examples are varied.") }
}
