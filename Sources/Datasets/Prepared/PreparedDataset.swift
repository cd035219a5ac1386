/// A data set that `crosscut data prepare` has written.
///
/// A folder with tar shards (`train-000000.tar`, with a picture and a `.cls` file for each example,
/// as WebDataset reads them), `index.tsv` with the place of every example, `mean.npy` with the mean
/// image, and `dataset.json` with everything else. `dataset.json` is written last: without it the
/// data set is not finished.
package struct PreparedDataset: Sendable {
  package let directory: String
  package let description: PreparedDescription
  package let statistics: ImageStatistics
  /// Covers the description, the index and with it a checksum of every example.
  package let fingerprint: UInt64
  private let index: PreparedIndex

  /// Reads everything but the examples.
  ///
  /// - Throws: `DatasetError` naming the file that is missing or broken.
  package init(directory: String) throws(DatasetError) {
    let path = Files.join(directory, PreparedFolder.description)
    guard Files.exists(path) else {
      guard Files.isFolder(directory) else {
        throw DatasetError(directory, Files.exists(directory) ? "is no folder" : "is not there")
      }
      try Files.requireAccess(to: directory)
      throw DatasetError(
        directory,
        Files.exists(Files.join(directory, PreparedFolder.progress))
          ? "is not finished: run crosscut data prepare again, it goes on where it stopped"
          : "has no \(PreparedFolder.description): crosscut data prepare writes such folders")
    }
    self.directory = directory
    description = try PreparedDescription(path: path)
    index = try PreparedIndex(
      path: Files.join(directory, PreparedFolder.index), classes: description.classes.count)
    statistics = description.statistics(
      pixelMean: try NumPyFile.floats(
        path: Files.join(directory, PreparedFolder.mean), shape: description.shape))
    var hash = index.hash
    for byte in try Files.bytes(of: path) { hash.add(byte) }
    fingerprint = hash.value
    for part in description.sets where (index.parts[part.name]?.count ?? 0) != part.examples {
      throw DatasetError(
        Files.join(directory, PreparedFolder.index),
        "has \(index.parts[part.name]?.count ?? 0) lines of the set \(part.name), "
          + "\(PreparedFolder.description) says \(part.examples)")
    }
  }

  /// Whether a folder holds a prepared data set, finished or not.
  package static func isPrepared(_ directory: String) -> Bool {
    [PreparedFolder.description, PreparedFolder.progress].contains {
      Files.exists(Files.join(directory, $0))
    }
  }

  /// One of its sets.
  ///
  /// - Parameter groups: that its shards are cut into, of which some may be elsewhere; 0: all shards
  ///   must be here.
  /// - Throws: `DatasetError` if there is no such set, or a shard is missing or cut off.
  package func source(_ set: String, groups: Int = 0) throws(DatasetError) -> PreparedSource {
    guard let part = index.parts[set] else {
      throw DatasetError(
        directory,
        "has no set \(set), only \(description.sets.map(\.name).joined(separator: ", "))")
    }
    return try PreparedSource(
      directory: directory, set: set, part: part, description: description, groups: groups)
  }

  /// Examples of each class in a set.
  package func counts(_ set: String) -> [Int] {
    var counts = [Int](repeating: 0, count: description.classes.count)
    for label in index.parts[set]?.labels ?? [] { counts[Int(label)] += 1 }
    return counts
  }

  /// Opens one for training.
  ///
  /// - Parameters:
  ///   - test: the set to test on; `nil`: "test", which must be there.
  ///   - groups: that the training shards are cut into; 0: all of them must be here.
  package static func open(
    directory: String, test: String? = nil, groups: Int = 0
  ) throws(DatasetError) -> DatasetPair {
    let dataset = try PreparedDataset(directory: directory)
    let name = test ?? PreparedFolder.test
    guard dataset.index.parts[name] != nil else {
      throw DatasetError(
        directory,
        "has no set \(name); dataset.test: \"train\" tests on the examples that are trained on")
    }
    let train = try dataset.source(PreparedFolder.train, groups: groups)
    return try DatasetPair(
      train: train, test: dataset.source(name),
      classNames: dataset.description.classes, statistics: dataset.statistics,
      fingerprint: dataset.fingerprint, groups: train.groups)
  }
}
