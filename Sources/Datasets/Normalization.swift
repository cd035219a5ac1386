/// What turns grey levels into what the network sees: `(x - m) / s`, where m is the mean of the
/// channel or of the pixel, and s belongs to the channel.
package struct Normalization: Hashable, Sendable {
  /// On the scale 0...1, one for each channel.
  package let mean: [Float]
  /// On the scale 0...1, one for each channel, above 0.
  package let standardDeviation: [Float]
  /// In grey levels, one for each pixel of the source, `[C, H, W]`; subtracted besides `mean`.
  package let pixelMean: [Float]?
  /// Whether the middle of `pixelMean` is subtracted from every crop, upright, and not the part
  /// that the crop shows.
  package let takesMiddle: Bool

  /// - Parameters:
  ///   - mean: one for each channel, on the scale 0...1.
  ///   - standardDeviation: one for each channel, on the scale 0...1, above 0.
  ///   - pixelMean: one for each pixel of the source, in grey levels.
  package init(
    mean: [Float], standardDeviation: [Float], pixelMean: [Float]? = nil, takesMiddle: Bool = false
  ) {
    precondition(
      mean.count == standardDeviation.count && standardDeviation.allSatisfy { $0 > 0 }
        && pixelMean.map { $0.count % mean.count == 0 } ?? true,
      "normalization with means \(mean) and standard deviations \(standardDeviation)")
    self.mean = mean
    self.standardDeviation = standardDeviation
    self.pixelMean = pixelMean
    self.takesMiddle = takesMiddle
  }

  /// Only x / 255: the network sees 0...1.
  package static func none(channels: Int) -> Normalization {
    Normalization(
      mean: Array(repeating: 0, count: channels),
      standardDeviation: Array(repeating: 1, count: channels))
  }

  /// What torchvision's models of ImageNet were trained with: red, green, blue.
  package static var torchvision: Normalization {
    Normalization(mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
  }

  /// Mean 0 and standard deviation 1 for each channel over the training set; a constant channel
  /// gets standard deviation 1 on the scale 0...1.
  package static func meanDeviation(_ statistics: ImageStatistics) -> Normalization {
    Normalization(
      mean: statistics.channelMean.map { Float($0 / 255) },
      standardDeviation: statistics.channelDeviation.map {
        let deviation = Float($0 / 255)
        return deviation > 0 ? deviation : 1
      })
  }

  /// Grey levels less the mean of their channel.
  package static func channelMean(_ statistics: ImageStatistics) -> Normalization {
    Normalization(
      mean: statistics.channelMean.map { Float($0 / 255) },
      standardDeviation: statistics.channelMean.map { _ in 1 / 255 })
  }

  /// Grey levels less the mean of their pixel: what the 2012 paper feeds its network (section 2).
  ///
  /// - Parameter takesMiddle: the author's code, which has the means of the middle only.
  package static func pixelMean(
    _ statistics: ImageStatistics, takesMiddle: Bool = false
  ) -> Normalization {
    Normalization(
      mean: statistics.channelMean.map { _ in 0 },
      standardDeviation: statistics.channelMean.map { _ in 1 / 255 },
      pixelMean: statistics.pixelMean, takesMiddle: takesMiddle)
  }

  /// A channel's scale and offset: the network sees `x scale + offset` of grey level x, less
  /// `pixelMean scale`.
  @inline(__always)
  func terms(_ channel: Int) -> (scale: Float, offset: Float) {
    (1 / (255 * standardDeviation[channel]), -mean[channel] / standardDeviation[channel])
  }
}
