import Glibc
package import Tensors

/// One set of a prepared data set: examples in tar shards, read at random by the index.
package struct PreparedSource: ExampleSource {
  package let shape: Shape
  package let classes: Int
  private let part: PreparedIndex.Part
  private let encoding: PreparedDescription.Encoding
  private let shards: ShardFiles
  private let decoders = DecoderPool()
  /// Of the raw encoding.
  private let pixmapHeader: [UInt8]
  /// What of it is here, where not all of it need be.
  let groups: ShardGroups?

  /// - Parameter groups: that the shards are cut into, of which some may be elsewhere; 0: all shards
  ///   must be here.
  /// - Throws: `DatasetError` naming a shard that is not there or too short.
  init(
    directory: String, set: String, part: PreparedIndex.Part, description: PreparedDescription,
    groups: Int = 0
  ) throws(DatasetError) {
    guard part.count > 0 else { throw DatasetError(directory, "its set \(set) is empty") }
    shape = Shape(description.shape)
    classes = description.classes.count
    encoding = description.encoding
    pixmapHeader = Pixmap.header(shape)
    self.part = part
    var ends: [Int: Int] = [:]
    for index in 0..<part.count {
      let end = Int(part.offsets[index]) + Int(part.bytes[index])
      ends[Int(part.shards[index])] = max(ends[Int(part.shards[index])] ?? 0, end)
    }
    shards = ShardFiles(
      paths: Dictionary(
        uniqueKeysWithValues: ends.keys.map {
          ($0, Files.join(directory, PreparedFolder.shard(set, $0)))
        }))
    guard groups > 0 else {
      self.groups = nil
      for (number, end) in ends.sorted(by: { $0.key < $1.key }) {
        try shards.check(number, bytes: end)
      }
      return
    }
    let shards = shards
    self.groups = try ShardGroups(count: groups, shards: part.shards, directory: directory) {
      number throws(DatasetError) in
      guard shards.isHere(number) else { return false }
      // A copy that was cut off is nobody's intention.
      try shards.check(number, bytes: ends[number] ?? 0)
      return true
    }
  }

  package var count: Int { part.count }

  /// Every example's file as it is stored: for measuring what decoding alone takes.
  package func storedFiles() throws(DatasetError) -> [[UInt8]] {
    var files: [[UInt8]] = []
    for index in 0..<count {
      files.append(
        try shards.read(
          Int(part.shards[index]), at: Int(part.offsets[index]), count: Int(part.bytes[index])))
    }
    return files
  }

  package func label(_ index: Int) -> Int32 { part.labels[index] }

  package func write(
    _ index: Int, into output: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    let number = Int(part.shards[index])
    let bytes = try shards.read(
      number, at: Int(part.offsets[index]), count: Int(part.bytes[index]))
    let place = "\(shards.path(number)), example \(part.numbers[index])"
    try bytes.withUnsafeBufferPointer { buffer throws(DatasetError) in
      let bytes = UnsafeRawBufferPointer(buffer)
      guard PreparedIndex.checksum(bytes) == part.checksums[index] else {
        throw DatasetError(place, "is damaged: its checksum is not the index's")
      }
      switch encoding {
      case .jpeg:
        try decoders.withDecoder { decoder throws(DatasetError) in
          try decoder.decode(bytes, path: place, shape: shape, into: output)
        }
      case .raw:
        guard bytes.count == pixmapHeader.count + shape.count, bytes.starts(with: pixmapHeader)
        else { throw DatasetError(place, "is no \(shape) picture") }
        Pixmap.write(bytes.dropFirst(pixmapHeader.count), shape: shape, into: output)
      }
    }
  }
}

/// Pictures in Netpbm's binary formats, grey (P5) or RGB (P6), 8 bits.
enum Pixmap {
  /// What stands before the pixels of `[C, H, W]`.
  static func header(_ shape: Shape) -> [UInt8] {
    Array("\(shape[0] == 1 ? "P5" : "P6")\n\(shape[2]) \(shape[1])\n255\n".utf8)
  }

  /// File name without the dot.
  static func suffix(_ shape: Shape) -> String { shape[0] == 1 ? "pgm" : "ppm" }

  /// Turns pixels, `[H, W, C]`, into `[C, H, W]` floats.
  static func write(
    _ pixels: Slice<UnsafeRawBufferPointer>, shape: Shape, into output: UnsafeMutablePointer<Float>
  ) {
    let pixels = UnsafeRawBufferPointer(rebasing: pixels)
    let plane = shape[1] * shape[2]
    let channels = shape[0]
    for channel in 0..<channels {
      for pixel in 0..<plane {
        output[channel * plane + pixel] = Float(pixels[pixel * channels + channel])
      }
    }
  }
}

/// Open shards: each is opened when it is first read.
///
/// `@unchecked Sendable`: descriptors are looked up and added under `lock` only.
private final class ShardFiles: @unchecked Sendable {
  private let paths: [Int: String]
  private let lock = Condition()
  private var descriptors: [Int: CInt] = [:]

  /// So many stay open; a process may have 1024 files by custom, and has sockets besides.
  private static let mostOpen = 512

  init(paths: [Int: String]) { self.paths = paths }

  deinit { for descriptor in descriptors.values { close(descriptor) } }

  func path(_ number: Int) -> String { paths[number] ?? "shard \(number)" }

  func isHere(_ number: Int) -> Bool { Files.exists(path(number)) }

  /// Sees that a shard is there and long enough.
  func check(_ number: Int, bytes: Int) throws(DatasetError) {
    var status = stat()
    guard stat(path(number), &status) == 0 else {
      throw DatasetError(path(number), "is missing: \(Files.systemError())")
    }
    guard status.st_size >= bytes else {
      throw DatasetError(
        path(number), "has \(status.st_size) bytes, the index wants \(bytes): it was cut off")
    }
  }

  func read(_ number: Int, at offset: Int, count: Int) throws(DatasetError) -> [UInt8] {
    let path = path(number)
    guard paths.count <= Self.mostOpen else {
      let descriptor = try Self.openFile(path)
      defer { close(descriptor) }
      return try Files.read(descriptor, at: offset, count: count, path: path)
    }
    let descriptor = try lock.locked { () throws(DatasetError) in
      if let known = descriptors[number] { return known }
      let opened = try Self.openFile(path)
      descriptors[number] = opened
      return opened
    }
    return try Files.read(descriptor, at: offset, count: count, path: path)
  }

  private static func openFile(_ path: String) throws(DatasetError) -> CInt {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw Files.cannotOpen(path)
    }
    return descriptor
  }
}
