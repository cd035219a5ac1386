import Glibc
import Tensors

/// Writes a prepared data set: shards, index, mean image and description.
///
/// The bytes it writes follow from the source and the options, whatever the number of threads and
/// however often it was interrupted. The training set is stored in a shuffled order, so that each
/// shard holds examples of all classes.
package struct Preparation {
  /// How the data set is stored.
  package struct Options: Hashable, Sendable {
    package var encoding = PreparedDescription.Encoding.jpeg
    /// Of JPEG, 1 to 100: more is nearer to the original and takes more space.
    package var quality = 90
    /// At most a million. More make fewer and larger files, fewer lose less when the preparation
    /// is interrupted.
    package var examplesPerShard = 1000
    package var threads = 1
    /// Whether a broken picture ends the preparation.
    package var isStrict = false

    package init() {}
  }

  /// How far it is.
  package struct Report: Hashable, Sendable {
    package var done = 0
    package var total = 0
    package var skipped = 0
    /// Examples that an earlier preparation had done.
    package var resumed = 0
    /// Of shards, in this preparation.
    package var bytes = 0
  }

  private let source: PreparationSource
  private let options: Options
  private let directory: String
  private var progress: PreparationProgress
  private var report: Report
  /// Positions at which each set begins, in the order of the sets.
  private let starts: [Int]
  private let order: ExampleOrder
  private let lock: FolderLock

  /// Makes the folder, or finds what an earlier preparation has left in it.
  ///
  /// - Throws: `DatasetError` if the folder cannot be made, is finished, or holds anything else.
  package init(
    source: PreparationSource, options: Options, directory: String
  ) throws(DatasetError) {
    self.source = source
    self.options = options
    self.directory = directory
    var starts: [Int] = []
    var total = 0
    for part in source.parts {
      starts.append(total)
      total += part.source.count
    }
    guard PreparedDescription.canHold(source.shape.extents) else {
      throw DatasetError(
        "source",
        "its examples are \(source.shape); one channel or three, and up to 16384 rows and columns"
          + " can be prepared")
    }
    guard options.encoding == .raw || ImageDecoder.canFill(source.shape) else {
      throw DatasetError(
        directory, "\(source.shape) is no square, as pictures in JPEG are: --encoding raw")
    }
    self.starts = starts
    order = ExampleOrder(seed: 0, count: source.parts[0].source.count)
    var hash = FowlerNollVo()
    hash.add(source.fingerprint)
    hash.add(UInt64(options.examplesPerShard))
    hash.add(UInt64(options.encoding == .jpeg ? options.quality : 0))
    let fingerprint = hash.value
    try Self.makeFolder(directory)
    lock = try FolderLock(directory)
    let path = Files.join(directory, PreparedFolder.progress)
    guard !Files.exists(Files.join(directory, PreparedFolder.description)) else {
      throw DatasetError(
        directory, "holds a finished data set; remove it first, or choose another folder")
    }
    if Files.exists(path) {
      progress = try PreparationProgress(
        path: path, shape: source.shape, expecting: fingerprint)
      guard progress.fingerprint == fingerprint, progress.position <= total else {
        throw DatasetError(
          directory,
          "holds a preparation of other data or with other options; remove it first, or choose "
            + "another folder")
      }
    } else {
      // Killed before the first state was kept, a preparation leaves its empty tables.
      let left = [PreparedFolder.index, PreparedFolder.skipped]
      guard
        try Files.names(in: directory).allSatisfy({ left.contains($0) || $0.hasSuffix(".part") })
      else {
        throw DatasetError(directory, "is not empty, and holds no preparation to go on with")
      }
      progress = PreparationProgress(fingerprint: fingerprint, shape: source.shape)
    }
    report = Report(
      done: progress.position, total: total,
      skipped: progress.skipped.values.reduce(0, +), resumed: progress.position)
  }

  private static func makeFolder(_ path: String) throws(DatasetError) {
    guard mkdir(path, 0o777) != 0, errno != EEXIST || !Files.isFolder(path) else { return }
    throw DatasetError(path, "cannot be made: \(Files.systemError())")
  }

  /// Does all that is left to do.
  ///
  /// - Parameters:
  ///   - onProgress: called after each example, on the calling thread.
  ///   - onSkip: called for each picture that cannot be read, unless the preparation is strict.
  /// - Returns: the last report.
  /// - Throws: `DatasetError`. What is whole is kept; the next preparation goes on from there.
  package mutating func run(
    onProgress: (Report) -> Void, onSkip: (DatasetError) -> Void
  ) throws(DatasetError) -> Report {
    try cut(PreparedFolder.index, to: progress.indexBytes, begin: PreparedIndex.header)
    try cut(PreparedFolder.skipped, to: progress.skippedBytes, begin: "source\treason\n")
    try save()
    let (parts, starts, order) = (source.parts, starts, order)
    let workers = PreparationWorkers(
      progress.position..<report.total, threads: options.threads, shape: source.shape,
      encoding: options.encoding, quality: options.quality
    ) { position in
      let set = starts.lastIndex { $0 <= position } ?? 0
      let place = position - starts[set]
      // The first set is the training set.
      return (parts[set], set == 0 ? order.example(at: UInt64(place)) : place)
    }
    defer { workers.stop() }
    for (set, part) in source.parts.enumerated() {
      let end = starts[set] + part.source.count
      while progress.position < end {
        let last = min(progress.position + options.examplesPerShard, end)
        try writeShard(part, to: last, workers, onProgress, onSkip)
      }
    }
    try finish()
    return report
  }

  /// Writes the shard of the next examples.
  private mutating func writeShard(
    _ part: PreparationSource.Part, to last: Int, _ workers: PreparationWorkers,
    _ onProgress: (Report) -> Void, _ onSkip: (DatasetError) -> Void
  ) throws(DatasetError) {
    let number = progress.shards[part.name] ?? 0
    let path = Files.join(directory, PreparedFolder.shard(part.name, number))
    let writer = try ShardWriter(path: path)
    var next = progress
    var sums = ShardSums(shape: source.shape)
    var lines = ""
    var skipped = ""
    for position in next.position..<last {
      let result = workers.result(position)
      if let failure = result.failure {
        guard !options.isStrict else { throw failure }
        onSkip(failure)
        skipped +=
          "\(PreparedIndex.onOneLine(result.name))\t"
          + PreparedIndex.onOneLine(failure.message) + "\n"
        next.skipped[part.name, default: 0] += 1
        report.skipped += 1
      } else {
        lines += try write(result, shard: number, set: part.name, to: writer)
        next.examples[part.name, default: 0] += 1
        if part.name == PreparedFolder.train {
          sums.add(result)
        }
      }
      report.done = position + 1
      onProgress(report)
    }
    // A shard of broken pictures only is none.
    if !lines.isEmpty {
      report.bytes += try writer.finish()
      next.shards[part.name] = number + 1
    }
    next.sums.add(count: sums.count, pixels: sums.pixels, products: sums.products)
    next.position = last
    next.indexBytes += try append(lines, to: PreparedFolder.index)
    next.skippedBytes += try append(skipped, to: PreparedFolder.skipped)
    progress = next
    try save()
  }

  /// Adds an example to a shard.
  ///
  /// - Returns: its line in the index.
  private func write(
    _ result: PreparationWorkers.Result, shard: Int, set: String, to writer: ShardWriter
  ) throws(DatasetError) -> String {
    let key = PreparedFolder.padded(result.number, 9)
    let suffix = options.encoding == .jpeg ? "jpg" : Pixmap.suffix(source.shape)
    let offset = try writer.add(name: "\(key).\(suffix)", result.file)
    _ = try writer.add(name: "\(key).cls", Array("\(result.label)".utf8))
    let checksum = result.file.withUnsafeBytes { PreparedIndex.checksum($0) }
    return PreparedEntry(
      shard: shard, offset: offset, bytes: result.file.count, checksum: checksum,
      label: result.label, number: result.number, name: result.name
    ).line(set: set)
  }

  /// Writes what makes the data set whole.
  private func finish() throws(DatasetError) {
    guard progress.sums.examples > 0 else {
      throw DatasetError(directory, "no training example could be read")
    }
    let statistics = progress.sums.statistics
    let parts = source.parts.filter { (progress.examples[$0.name] ?? 0) > 0 }.map {
      PreparedDescription.Part(
        name: $0.name, examples: progress.examples[$0.name] ?? 0,
        shards: progress.shards[$0.name] ?? 0, skipped: progress.skipped[$0.name] ?? 0)
    }
    let description = PreparedDescription(
      classes: source.classes, shape: source.shape, encoding: options.encoding,
      quality: options.encoding == .jpeg ? options.quality : nil, sets: parts,
      statistics: statistics)
    try Files.replace(
      Files.join(directory, PreparedFolder.mean),
      with: NumPyFile.bytes(statistics.pixelMean, shape: source.shape.extents))
    try Files.replace(
      Files.join(directory, PreparedFolder.description), with: try description.encoded())
    // Last: until the description is there a preparation may have to go on with them.
    if progress.skipped.isEmpty { unlink(Files.join(directory, PreparedFolder.skipped)) }
    unlink(Files.join(directory, PreparedFolder.progress))
  }

  private func save() throws(DatasetError) {
    try Files.replace(
      Files.join(directory, PreparedFolder.progress), with: try progress.encoded())
  }

  /// Shortens a table to what belongs to whole shards.
  private mutating func cut(
    _ name: String, to length: Int, begin header: String
  ) throws(DatasetError) {
    let path = Files.join(directory, name)
    guard length > 0 else {
      try Files.replace(path, with: Array(header.utf8))
      if name == PreparedFolder.index {
        progress.indexBytes = header.utf8.count
      } else {
        progress.skippedBytes = header.utf8.count
      }
      return
    }
    var status = stat()
    guard stat(path, &status) == 0, status.st_size >= length, truncate(path, length) == 0 else {
      throw DatasetError(path, "is missing or cut off: remove its folder and begin anew")
    }
  }

  /// - Returns: bytes added.
  private func append(_ text: String, to name: String) throws(DatasetError) -> Int {
    guard !text.isEmpty else { return 0 }
    let bytes = Array(text.utf8)
    try Files.append(bytes, to: Files.join(directory, name))
    return bytes.count
  }
}

/// Sums over the pixels of a shard's examples: in 32 bits, which its limit of a million examples
/// cannot overflow.
private struct ShardSums {
  private(set) var count = 0
  private(set) var products: [Double]
  /// `[H, W, C]`.
  private var sums: [UInt32]
  /// Of the newest examples, which 16 bits hold: half the memory to go through for each.
  private var newest: [UInt16]
  private static let mostNewest = 257

  init(shape: Shape) {
    sums = Array(repeating: 0, count: shape.count)
    newest = Array(repeating: 0, count: shape.count)
    products = Array(repeating: 0, count: shape[0] * shape[0])
  }

  /// `[H, W, C]`.
  var pixels: [UInt32] { zip(sums, newest).map { $0 + UInt32($1) } }

  mutating func add(_ result: PreparationWorkers.Result) {
    if count > 0, count % Self.mostNewest == 0 {
      sums = pixels
      for index in newest.indices { newest[index] = 0 }
    }
    count += 1
    newest.withUnsafeMutableBufferPointer { newest in
      result.pixels.withUnsafeBufferPointer { levels in
        for index in 0..<newest.count { newest[index] &+= UInt16(levels[index]) }
      }
    }
    for index in products.indices { products[index] += result.products[index] }
  }
}
