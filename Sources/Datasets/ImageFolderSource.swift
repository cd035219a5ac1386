package import Tensors

/// JPEG and PNG files in a folder for each class, decoded when they are asked for.
package struct ImageFolderSource: ExampleSource {
  package let shape: Shape
  package let classes: Int
  package let examples: [ImageFolder.Example]
  private let side: Int
  private let decoders = DecoderPool()

  /// - Parameter side: extent of an example's height and width.
  package init(folder: ImageFolder, side: Int) throws(DatasetError) {
    guard !folder.examples.isEmpty else {
      throw DatasetError(folder.path, "has no .jpg, .jpeg or .png file in a folder of a class")
    }
    precondition(side >= 1, "images of \(side) pixels")
    shape = Shape(3, side, side)
    classes = folder.classNames.count
    examples = folder.examples
    self.side = side
  }

  package var count: Int { examples.count }

  package func label(_ index: Int) -> Int32 { Int32(examples[index].label) }

  package func write(
    _ index: Int, into output: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    let path = examples[index].path
    let bytes = try Files.bytes(of: path)
    try decoders.withDecoder { decoder throws(DatasetError) in
      try bytes.withUnsafeBufferPointer { bytes throws(DatasetError) in
        try decoder.decode(UnsafeRawBufferPointer(bytes), path: path, shape: shape, into: output)
      }
    }
  }

  package func writeBytes(
    _ index: Int, into output: UnsafeMutablePointer<UInt8>
  ) throws(DatasetError) {
    let path = examples[index].path
    let bytes = try Files.bytes(of: path)
    try decoders.withDecoder { decoder throws(DatasetError) in
      try bytes.withUnsafeBufferPointer { bytes throws(DatasetError) in
        try decoder.decode(UnsafeRawBufferPointer(bytes), path: path, size: side, into: output)
      }
    }
  }
}

/// What lies in a folder that holds a folder for each class.
package struct ImageFolder: Hashable, Sendable {
  /// One picture.
  package struct Example: Hashable, Sendable {
    package let path: String
    package let label: Int
  }

  package let path: String
  /// In byte order, which is also the order of the labels.
  package let classNames: [String]
  /// By class and then by name, in byte order.
  package let examples: [Example]

  private static let extensions = [".jpg", ".jpeg", ".png"]

  /// Lists a folder.
  ///
  /// A class without pictures is a class all the same. Files with other names are left out.
  ///
  /// - Parameter classes: what the classes must be; `nil`: the folders that there are.
  /// - Throws: `DatasetError` if a folder cannot be listed, or is none of the classes.
  package init(_ path: String, classes: [String]? = nil) throws(DatasetError) {
    self.path = path
    var folders: [String] = []
    for name in try Files.names(in: path) where Files.isFolder(Files.join(path, name)) {
      folders.append(name)
    }
    if let classes, let stranger = folders.first(where: { !classes.contains($0) }) {
      throw DatasetError(
        Files.join(path, stranger), "is no class of the training set, which has \(classes.count)")
    }
    classNames = classes ?? folders
    var examples: [Example] = []
    for (label, name) in classNames.enumerated() where folders.contains(name) {
      let folder = Files.join(path, name)
      for file in try Files.names(in: folder) where Self.isPicture(file) {
        examples.append(Example(path: Files.join(folder, file), label: label))
      }
    }
    self.examples = examples
  }

  private static func isPicture(_ name: String) -> Bool {
    let name = name.lowercased()
    return extensions.contains { name.hasSuffix($0) }
  }
}

/// A training and a test set in folders.
package enum ImageFolderDataset {
  /// Folders that are looked for where none is named.
  private static let trainingNames = ["train"]
  private static let testNames = ["test", "val", "validation"]

  /// The two folders of a tree.
  ///
  /// - Parameters:
  ///   - train: below `directory`; `nil`: "train" if there is one, else `directory` itself.
  ///   - test: below `directory`; `nil`: "test", "val" or "validation", else there is none.
  package static func folders(
    directory: String, train: String? = nil, test: String? = nil
  ) throws(DatasetError) -> (train: ImageFolder, test: ImageFolder?) {
    guard Files.isFolder(directory) else {
      throw DatasetError(directory, Files.exists(directory) ? "is no folder" : "is not there")
    }
    func find(_ names: [String]) -> String? {
      names.map { Files.join(directory, $0) }.first { Files.isFolder($0) }
    }
    let found = train.map { Files.join(directory, $0) } ?? find(trainingNames)
    let training = try ImageFolder(found ?? directory)
    guard training.classNames.count >= 1 else {
      throw DatasetError(training.path, "has no folders, and each class is a folder of pictures")
    }
    // Without a training folder, a folder called "test" is a class.
    let testPath = test.map { Files.join(directory, $0) } ?? (found == nil ? nil : find(testNames))
    guard let testPath else { return (training, nil) }
    return (training, try ImageFolder(testPath, classes: training.classNames))
  }

  /// Opens a tree for training.
  ///
  /// - Throws: `DatasetError` if there is no test set, too.
  package static func open(
    directory: String, train: String? = nil, test: String? = nil, side: Int
  ) throws(DatasetError) -> DatasetPair {
    let (training, found) = try folders(directory: directory, train: train, test: test)
    guard let found else {
      throw DatasetError(
        directory,
        "has no folder test, val or validation beside train; name one with dataset.test "
          + "(\".\" to test on the folder that is trained on)")
    }
    return try DatasetPair(
      train: ImageFolderSource(folder: training, side: side),
      test: ImageFolderSource(folder: found, side: side), classNames: training.classNames)
  }
}
