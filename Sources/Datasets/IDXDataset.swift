import Glibc
package import Tensors

/// Images and labels from a pair of IDX files, held in memory as bytes.
package struct IDXSource: ExampleSource {
  package let shape: Shape
  package let classes: Int
  private let pixels: [UInt8]
  private let labels: [UInt8]

  package var count: Int { labels.count }

  /// - Parameter classes: how many there are; `nil` for the largest label plus one.
  fileprivate init(images: IDXFile, labels: IDXFile, classes: Int?) throws(DatasetError) {
    let count = images.dimensions[0]
    guard labels.dimensions[0] == count else {
      throw DatasetError(
        labels.path, "\(labels.dimensions[0]) labels for the \(count) images of \(images.path)")
    }
    let largest = Int(labels.bytes.max() ?? 0)
    if let classes, largest >= classes {
      throw DatasetError(
        labels.path, "label \(largest), but the training labels end at \(classes - 1)")
    }
    let extents = images.dimensions.dropFirst()
    shape = Shape(extents.count == 2 ? [1] + extents : Array(extents))
    self.classes = classes ?? largest + 1
    pixels = images.bytes
    self.labels = labels.bytes
  }

  package func label(_ index: Int) -> Int32 { Int32(labels[index]) }

  package func write(_ index: Int, into output: UnsafeMutablePointer<Float>) {
    let size = shape.count
    precondition(index >= 0 && index < count, "example \(index) of \(count)")
    pixels.withUnsafeBufferPointer { all in
      let image = all.baseAddress.unsafelyUnwrapped + index * size
      for pixel in 0..<size { output[pixel] = Float(image[pixel]) }
    }
  }

  /// All labels, in order.
  fileprivate var labelBytes: [UInt8] { labels }
}

/// MNIST and what comes in its form: four IDX files in a directory, plain or gzip.
package enum IDXDataset {
  /// Where Debian's package dataset-fashion-mnist puts its files.
  package static let fashionMNISTDirectory = "/usr/share/datasets/fashion-mnist"

  /// The names of the four files, without `.gz`: by themselves those of MNIST.
  package struct FileNames: Hashable, Sendable {
    package var trainImages: String
    package var trainLabels: String
    package var testImages: String
    package var testLabels: String

    /// Names as MNIST has them, or others.
    package init(
      trainImages: String = "train-images-idx3-ubyte",
      trainLabels: String = "train-labels-idx1-ubyte",
      testImages: String = "t10k-images-idx3-ubyte", testLabels: String = "t10k-labels-idx1-ubyte"
    ) {
      self.trainImages = trainImages
      self.trainLabels = trainLabels
      self.testImages = testImages
      self.testLabels = testLabels
    }
  }

  /// Reads the four files, each plain or with `.gz` after its name.
  ///
  /// Images have 3 dimensions (count, height, width; one channel) or 4 (count, channels, height,
  /// width). The classes are counted from the training labels.
  ///
  /// - Throws: `DatasetError` naming the file.
  package static func open(
    directory: String, names: FileNames = FileNames()
  ) throws(DatasetError) -> DatasetPair {
    let train = try source(names.trainImages, names.trainLabels, in: directory, classes: nil)
    let test = try source(
      names.testImages, names.testLabels, in: directory, classes: train.classes)
    return try DatasetPair(train: train, test: test, classNames: knownNames(train))
  }

  private static func source(
    _ imagesName: String, _ labelsName: String, in directory: String, classes: Int?
  ) throws(DatasetError) -> IDXSource {
    let images = try find(imagesName, in: directory)
    let labels = try find(labelsName, in: directory)
    return try IDXSource(
      images: IDXFile(
        path: images, axes: ["count", "height", "width"], ["count", "channels", "height", "width"]),
      labels: IDXFile(path: labels, axes: ["count"]), classes: classes)
  }

  private static func find(_ name: String, in directory: String) throws(DatasetError) -> String {
    let base = directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
    for candidate in [base, base + ".gz"] where access(candidate, F_OK) == 0 { return candidate }
    try Files.requireAccess(to: directory)
    throw DatasetError(
      directory,
      "has no \(name) or \(name).gz; Fashion-MNIST comes with Debian: "
        + "apt install dataset-fashion-mnist, then \(fashionMNISTDirectory)")
  }

  /// The labels of Fashion-MNIST's training set are known by their hash, wherever they lie.
  private static func knownNames(_ train: IDXSource) -> [String]? {
    var hash = FowlerNollVo()
    for label in train.labelBytes { hash.add(label) }
    return hash.value == fashionMNISTLabels ? fashionMNISTNames : nil
  }

  private static let fashionMNISTLabels: UInt64 = 0xB9F7_1C71_BAE5_F277
  private static let fashionMNISTNames = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
  ]
}
