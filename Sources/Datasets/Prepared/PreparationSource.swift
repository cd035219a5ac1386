package import Tensors

/// What a data set is prepared from: pictures in folders, CIFAR's binary files or IDX files.
package struct PreparationSource: Sendable {
  /// One of the sets.
  struct Part: Sendable {
    let name: String
    let source: any ExampleSource
    /// What example `index` is called in the index and in reports.
    let label: @Sendable (Int) -> String
  }

  package let classes: [String]
  package let shape: Shape
  /// Whether the examples are photographs, which JPEG is made for.
  package let isPictures: Bool
  let parts: [Part]
  /// Covers what is read and how: a preparation goes on only with the same.
  let fingerprint: UInt64

  /// The training set.
  package var training: any ExampleSource { parts[0].source }

  /// Examples of all sets.
  package var count: Int { parts.reduce(0) { $0 + $1.source.count } }

  /// Finds out what a folder holds.
  ///
  /// - Parameters:
  ///   - size: of pictures in folders.
  ///   - labels: which of CIFAR-100's two.
  /// - Throws: `DatasetError` if it holds nothing that is known.
  package static func open(
    _ path: String, size: Int, labels: CIFARDataset.Labels = .fine
  ) throws(DatasetError) -> PreparationSource {
    guard Files.isFolder(path) else {
      throw DatasetError(path, Files.exists(path) ? "is no folder" : "is not there")
    }
    let names = try Files.names(in: path)
    if names.contains(PreparedFolder.description) {
      throw DatasetError(path, "is a prepared data set already")
    }
    if names.contains(where: { $0.hasPrefix("train-images-idx3-ubyte") }) {
      return PreparationSource(try IDXDataset.open(directory: path))
    }
    let binaries = ["data_batch_1.bin", "train.bin", "cifar-10-batches-bin", "cifar-100-binary"]
    if names.contains(where: { binaries.contains($0) }) {
      return PreparationSource(try CIFARDataset.open(directory: path, labels: labels))
    }
    return try PreparationSource(folder: path, size: size)
  }

  /// What lies in memory, as it is.
  private init(_ pair: DatasetPair) {
    classes = pair.classNames ?? (0..<pair.train.classes).map { "class \($0)" }
    shape = pair.train.shape
    isPictures = false
    fingerprint = pair.fingerprint
    parts = [(PreparedFolder.train, pair.train), (PreparedFolder.test, pair.test)].map {
      Part(name: $0.0, source: $0.1, label: { "\($0)" })
    }
  }

  private init(folder path: String, size: Int) throws(DatasetError) {
    let (training, test) = try ImageFolderDataset.folders(directory: path)
    classes = training.classNames
    shape = Shape(3, size, size)
    isPictures = true
    var hash = FowlerNollVo()
    hash.add(UInt64(size))
    var parts: [Part] = []
    for (name, folder) in [(PreparedFolder.train, training), (PreparedFolder.test, test)] {
      guard let folder else { continue }
      let source = try ImageFolderSource(folder: folder, side: size)
      // Relative names: a tree may be mounted anywhere.
      let label: @Sendable (Int) -> String = { index in
        String(source.examples[index].path.dropFirst(path.count).drop { $0 == "/" })
      }
      for index in 0..<source.count {
        for byte in label(index).utf8 { hash.add(byte) }
        hash.add(UInt32(bitPattern: source.label(index)))
      }
      parts.append(Part(name: name, source: source, label: label))
    }
    for name in classes { for byte in name.utf8 { hash.add(byte) } }
    self.parts = parts
    fingerprint = hash.value
  }
}
