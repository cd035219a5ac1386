package import Tensors

/// Images and labels from CIFAR's binary files, held in memory as bytes.
package struct CIFARSource: ExampleSource {
  package let shape = Shape(CIFARDataset.channels, CIFARDataset.side, CIFARDataset.side)
  package let classes: Int
  /// Records as in the files, one after the other.
  private let records: [UInt8]
  private let recordBytes: Int
  /// Place of the label in a record.
  private let labelOffset: Int

  /// Reads files one after the other.
  ///
  /// - Parameters:
  ///   - labelBytes: before each image.
  ///   - labelOffset: which of them counts.
  /// - Throws: `DatasetError` naming the file.
  fileprivate init(
    files: [String], labelBytes: Int, labelOffset: Int, classes: Int
  ) throws(DatasetError) {
    recordBytes = labelBytes + CIFARDataset.channels * CIFARDataset.side * CIFARDataset.side
    self.labelOffset = labelOffset
    self.classes = classes
    var records: [UInt8] = []
    for file in files {
      let bytes = try Files.bytes(of: file)
      guard !bytes.isEmpty, bytes.count % recordBytes == 0 else {
        throw DatasetError(
          file, "\(bytes.count) bytes are no whole number of \(recordBytes)-byte records")
      }
      for start in stride(from: 0, to: bytes.count, by: recordBytes)
      where Int(bytes[start + labelOffset]) >= classes {
        throw DatasetError(
          file,
          "record \(start / recordBytes) has label \(bytes[start + labelOffset]), "
            + "there are \(classes) classes")
      }
      records += bytes
    }
    self.records = records
  }

  package var count: Int { records.count / recordBytes }

  package func label(_ index: Int) -> Int32 { Int32(records[index * recordBytes + labelOffset]) }

  package func write(_ index: Int, into output: UnsafeMutablePointer<Float>) {
    precondition(index >= 0 && index < count, "example \(index) of \(count)")
    records.withUnsafeBufferPointer { all in
      let size = shape.count
      let image = all.baseAddress.unsafelyUnwrapped + (index + 1) * recordBytes - size
      for pixel in 0..<size { output[pixel] = Float(image[pixel]) }
    }
  }
}

/// CIFAR-10 or CIFAR-100 in the binary version of their page: which one is seen by the files.
package enum CIFARDataset {
  static let channels = 3
  static let side = 32

  /// What CIFAR-100's two labels are.
  package enum Labels: Hashable, Sendable {
    /// 100 classes.
    case fine
    /// 20 groups of five.
    case coarse
  }

  /// Reads training and test set.
  ///
  /// - Parameters:
  ///   - directory: where the files lie, or the folder that the archive makes lies.
  ///   - labels: of CIFAR-100.
  /// - Throws: `DatasetError` naming the file.
  package static func open(
    directory: String, labels: Labels = .fine
  ) throws(DatasetError) -> DatasetPair {
    let inner = ["cifar-10-batches-bin", "cifar-100-binary"].map { Files.join(directory, $0) }
    for folder in [directory] + inner {
      if Files.exists(Files.join(folder, "data_batch_1.bin")) { return try tenClasses(in: folder) }
      if Files.exists(Files.join(folder, "train.bin")) {
        return try hundredClasses(in: folder, labels)
      }
    }
    try Files.requireAccess(to: directory)
    throw DatasetError(
      directory,
      "has neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100): unpack the binary "
        + "version of the data set and name its folder")
  }

  private static func tenClasses(in folder: String) throws(DatasetError) -> DatasetPair {
    func source(_ names: [String]) throws(DatasetError) -> CIFARSource {
      try CIFARSource(
        files: names.map { Files.join(folder, $0) }, labelBytes: 1, labelOffset: 0, classes: 10)
    }
    return try DatasetPair(
      train: source((1...5).map { "data_batch_\($0).bin" }), test: source(["test_batch.bin"]),
      classNames: names(Files.join(folder, "batches.meta.txt"), count: 10))
  }

  private static func hundredClasses(
    in folder: String, _ labels: Labels
  ) throws(DatasetError) -> DatasetPair {
    let count = labels == .fine ? 100 : 20
    func source(_ name: String) throws(DatasetError) -> CIFARSource {
      try CIFARSource(
        files: [Files.join(folder, name)], labelBytes: 2, labelOffset: labels == .fine ? 1 : 0,
        classes: count)
    }
    let file = labels == .fine ? "fine_label_names.txt" : "coarse_label_names.txt"
    return try DatasetPair(
      train: source("train.bin"), test: source("test.bin"),
      classNames: names(Files.join(folder, file), count: count))
  }

  /// A name a line, blank lines left out; none if the file is not there or has another number.
  private static func names(_ path: String, count: Int) throws(DatasetError) -> [String]? {
    guard Files.exists(path) else { return nil }
    let text = String(decoding: try Files.bytes(of: path), as: UTF8.self)
    let names = text.split(whereSeparator: \.isNewline).map(String.init)
    return names.count == count ? names : nil
  }
}
