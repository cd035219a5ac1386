package import Tensors

/// How the pictures of a training set are varied, so that a network seldom sees the same one
/// twice (2012 paper, section 4.1).
///
/// Every decision is a function of (seed, epoch, example): a view of an example does not depend on
/// the worker that loads it, nor on when.
package struct Augmentation: Hashable, Sendable {
  /// Where the part of a larger picture that the network sees is taken from in training.
  package enum Crop: Hashable, Sendable {
    /// Anywhere, each place as likely.
    case random
    /// The middle, as in evaluation.
    case center
  }

  /// By which measure of a principal component a picture's colours are shifted along it.
  package enum ColorScale: Hashable, Sendable {
    /// sigma times the standard deviation sqrt(lambda), as the author's code has it.
    case deviation
    /// sigma times the variance lambda of colours in 0...1, as the paper's text has it.
    case variance
  }

  package var crop = Crop.random
  /// Pixels added on each side before the crop is taken; the network sees 0 there.
  package var padding = 0
  /// Whether half of the pictures are mirrored, left to right.
  package var flip = false
  /// Standard deviation of the shift of colours, in the measure of `colorScale`; 0: none.
  package var colorNoise = 0.0
  package var colorScale = ColorScale.deviation
  /// Whether what the network sees of a picture with shifted colours is divided by 1 + `colorNoise`,
  /// as in the author's code.
  package var rescalesColors = false

  /// None but a random crop where the picture is larger than the network's input.
  package init() {}
}

/// One way of looking at a picture.
package struct View: Hashable, Sendable {
  /// The first row and column of the picture that are seen; below 0 in the padding.
  package var top: Int
  package var left: Int
  package var isMirrored = false
  /// Added to each channel, in grey levels.
  package var shift = SIMD3<Float>.zero
  /// Times what the network would see.
  package var gain: Float = 1
}

/// Makes the network's inputs from the pictures of a source: which views there are, and what the
/// network sees of one.
package struct ViewMaker: Hashable, Sendable {
  /// `[C, H, W]` of the source's pictures.
  package let source: Shape
  /// `[C, H, W]` of the network's input.
  package let output: Shape
  package let augmentation: Augmentation
  package var normalization: Normalization
  /// `nil`: no colour noise.
  private let colors: ColorComponents?

  /// Views of a picture in evaluation by ten crops.
  package static let tenCrops = 10

  /// - Parameters:
  ///   - colors: wanted where there is colour noise.
  /// - Throws: `DatasetError` if the network wants more pixels than there are, or another number
  ///   of channels; or colour noise is to be added to what has no colours.
  package init(
    source: Shape, output: Shape, augmentation: Augmentation = Augmentation(),
    normalization: Normalization, colors: ColorComponents? = nil
  ) throws(DatasetError) {
    let padding = augmentation.padding
    guard source[0] == output[0], source[1] + 2 * padding >= output[1],
      source[2] + 2 * padding >= output[2]
    else {
      throw DatasetError(
        "dataset",
        "its images are \(source)" + (padding > 0 ? ", padded by \(padding)" : "")
          + ", the network's input is \(output)")
    }
    guard augmentation.colorNoise == 0 || colors != nil else {
      throw DatasetError(
        "dataset", "colour noise needs three channels, the images have \(source[0])")
    }
    guard !normalization.takesMiddle || source[1] >= output[1] && source[2] >= output[2] else {
      throw DatasetError(
        "dataset.normalize",
        "\"mean-pixel-middle\": the mean picture is \(source), smaller than the network's input")
    }
    self.source = source
    self.output = output
    self.augmentation = augmentation
    self.normalization = normalization
    self.colors = augmentation.colorNoise == 0 ? nil : colors
  }

  /// The view of a training example in an epoch.
  ///
  /// The draws: words 0 to 2 of the stream decide on row, column and mirror, 4 to 6 on the colours.
  package func training(seed: UInt64, epoch: UInt64, example: Int) -> View {
    let padding = augmentation.padding
    let stream = RandomStream(
      seed: seed, purpose: .augmentation, first: epoch, second: UInt32(truncatingIfNeeded: example))
    let words = stream.words(0)
    var view = center
    if augmentation.crop == .random {
      view.top = Int(RandomStream.below(UInt32(rows + 2 * padding + 1), words[0])) - padding
      view.left = Int(RandomStream.below(UInt32(columns + 2 * padding + 1), words[1])) - padding
    }
    view.isMirrored = augmentation.flip && words[2] >> 31 == 1
    if let colors {
      view.shift = shift(along: colors, stream.words(1))
      if augmentation.rescalesColors { view.gain = 1 / Float(1 + augmentation.colorNoise) }
    }
    return view
  }

  /// The middle, upright and in its own colours; half a pixel up and left where there is no middle.
  package var center: View {
    View(top: Self.half(rows), left: Self.half(columns))
  }

  /// One of the ten views of the 2012 paper's evaluation.
  ///
  /// - Parameter number: 0 to 4: top left, top right, bottom left, bottom right, centre; 5 to 9: the
  ///   same mirrored.
  package func crop(_ number: Int) -> View {
    precondition(number >= 0 && number < Self.tenCrops, "crop \(number) of \(Self.tenCrops)")
    let corner = number % 5
    var view =
      corner == 4 ? center : View(top: corner / 2 * rows, left: corner % 2 * columns)
    view.isMirrored = number >= 5
    return view
  }

  /// Rows of the source beyond those that are seen; below 0 where padding is needed.
  private var rows: Int { source[1] - output[1] }
  private var columns: Int { source[2] - output[2] }

  /// Half of a number, rounded down, also below 0.
  private static func half(_ number: Int) -> Int { number >> 1 }

  /// `[p1 p2 p3] [a1 s1, a2 s2, a3 s3]`, a ~ N(0, sigma^2), s the measure of `colorScale`.
  private func shift(along colors: ColorComponents, _ words: Philox.Words) -> SIMD3<Float> {
    var shift = SIMD3<Double>.zero
    for component in 0..<3 {
      let draw =
        augmentation.colorNoise
        * NormalDistribution.quantile(Double(RandomStream.uniform(words[component])))
      let variance = colors.variances[component]
      // Of colours in 0...1 the variance is lambda / 255^2, and back in grey levels lambda / 255.
      let size = augmentation.colorScale == .deviation ? variance.squareRoot() : variance / 255
      shift += draw * size * colors.directions[component]
    }
    return SIMD3<Float>(shift)
  }

  /// Writes what the network sees: cropped, mirrored, shifted in colour and normalized.
  ///
  /// - Parameters:
  ///   - picture: `[C, H, W]` of the source, on the scale 0...255.
  ///   - input: `[C, H, W]` of the network; all are written.
  package func write(
    _ view: View, of picture: UnsafePointer<Float>, into input: UnsafeMutablePointer<Float>
  ) {
    let (height, width) = (output[1], output[2])
    let plane = source[1] * source[2]
    // Rows and columns of the input that lie in the picture and not in its padding.
    let seenRows = Self.seen(from: view.top, of: source[1], size: height)
    let seenColumns = Self.seen(from: view.left, of: source[2], size: width)
    if seenRows.count < height || seenColumns.count < width {
      input.update(repeating: 0, count: output.count)
    }
    for channel in 0..<output[0] {
      var (scale, offset) = normalization.terms(channel)
      scale *= view.gain
      offset *= view.gain
      let shift = channel < 3 ? view.shift[channel] : 0
      for y in seenRows {
        let from = channel * plane + (view.top + y) * source[2] + view.left + seenColumns.lowerBound
        let line = input + (channel * height + y) * width
        let target = line + seenColumns.lowerBound
        let values = picture + from
        if let means = normalization.pixelMean {
          means.withUnsafeBufferPointer { means in
            if normalization.takesMiddle {
              let middle = channel * plane + (center.top + y) * source[2] + center.left
              Self.subtract(
                means, from: middle, of: values, (scale, offset + shift * scale),
                mirrored: view.isMirrored ? width : nil, into: target, seenColumns)
              return
            }
            for x in 0..<seenColumns.count {
              target[x] = (values[x] + shift) * scale + (offset - means[from + x] * scale)
            }
          }
        } else {
          for x in 0..<seenColumns.count { target[x] = (values[x] + shift) * scale + offset }
        }
        if view.isMirrored { Self.mirror(line, width) }
      }
    }
  }

  /// The same with a row of means that stands upright where the picture is mirrored.
  ///
  /// - Parameters:
  ///   - first: the mean of the input's first column.
  ///   - width: of the input, which is mirrored afterwards; `nil`: it is not.
  private static func subtract(
    _ means: UnsafeBufferPointer<Float>, from first: Int, of values: UnsafePointer<Float>,
    _ terms: (scale: Float, offset: Float), mirrored width: Int?,
    into target: UnsafeMutablePointer<Float>, _ columns: Range<Int>
  ) {
    for x in 0..<columns.count {
      let column = columns.lowerBound + x
      let mean = means[first + (width.map { $0 - 1 - column } ?? column)]
      target[x] = values[x] * terms.scale + (terms.offset - mean * terms.scale)
    }
  }

  private static func seen(from first: Int, of extent: Int, size: Int) -> Range<Int> {
    let low = min(size, max(0, -first))
    return low..<max(low, min(size, extent - first))
  }

  private static func mirror(_ line: UnsafeMutablePointer<Float>, _ width: Int) {
    for x in 0..<(width / 2) {
      let value = line[x]
      line[x] = line[width - 1 - x]
      line[width - 1 - x] = value
    }
  }
}
