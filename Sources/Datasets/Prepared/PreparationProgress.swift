import FoundationEssentials
import Tensors

/// How far a preparation has come: enough to go on after any end, from the last whole shard.
struct PreparationProgress {
  /// What is small.
  private struct Head: Codable {
    var fingerprint: String
    var position: Int
    var shards: [String: Int]
    var examples: [String: Int]
    var skipped: [String: Int]
    var indexBytes: Int
    var skippedBytes: Int
    var summed: Int
    var products: [Double]
  }

  /// Of source and options.
  let fingerprint: UInt64
  /// Examples that are done, over all sets, in the order of the preparation.
  var position = 0
  /// By set.
  var shards: [String: Int] = [:]
  var examples: [String: Int] = [:]
  var skipped: [String: Int] = [:]
  /// Lengths of the tables that belong to what is done.
  var indexBytes = 0
  var skippedBytes = 0
  /// Of the training set.
  var sums: PixelSums

  /// Nothing is done.
  init(fingerprint: UInt64, shape: Shape) {
    self.fingerprint = fingerprint
    sums = PixelSums(shape: shape)
  }

  /// What an earlier preparation has left.
  ///
  /// - Parameter expected: the fingerprint of what is to be gone on with; of one with another nothing
  ///   else is read.
  /// - Throws: `DatasetError` if the file is broken.
  init(path: String, shape: Shape, expecting expected: UInt64) throws(DatasetError) {
    let bytes = try Files.bytes(of: path)
    let head: Head
    let rest: ArraySlice<UInt8>
    do {
      let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      head = try JSONDecoder().decode(Head.self, from: Data(bytes[..<end]))
      rest = bytes[min(end + 1, bytes.count)...]
    } catch {
      throw DatasetError(path, "is broken; remove its folder and begin anew: \(error)")
    }
    fingerprint = UInt64(head.fingerprint, radix: 16) ?? 0
    position = head.position
    shards = head.shards
    examples = head.examples
    skipped = head.skipped
    indexBytes = head.indexBytes
    skippedBytes = head.skippedBytes
    guard fingerprint == expected else {
      sums = PixelSums(shape: shape)
      return
    }
    guard rest.count == 8 * shape.count, head.products.count == shape[0] * shape[0],
      position >= 0, indexBytes >= 0, skippedBytes >= 0
    else { throw DatasetError(path, "is broken; remove its folder and begin anew") }
    let values = (0..<shape.count).map { index in
      var bits: UInt64 = 0
      for byte in 0..<8 {
        bits |= UInt64(rest[rest.startIndex + 8 * index + byte]) << (8 * UInt64(byte))
      }
      return Double(bitPattern: bits)
    }
    sums = PixelSums(
      shape: shape, examples: head.summed, values: values, products: head.products)
  }

  /// What `init(path:)` reads.
  func encoded() throws(DatasetError) -> [UInt8] {
    let head = Head(
      fingerprint: String(fingerprint, radix: 16), position: position, shards: shards,
      examples: examples, skipped: skipped, indexBytes: indexBytes, skippedBytes: skippedBytes,
      summed: sums.examples, products: sums.products)
    var bytes: [UInt8]
    do {
      bytes = Array(try JSONEncoder().encode(head)) + [UInt8(ascii: "\n")]
    } catch {
      throw DatasetError(PreparedFolder.progress, "cannot be encoded: \(error)")
    }
    // A key path of two steps would be walked at run time, for each of 200,000 values.
    let values = sums.values.map { $0.bitPattern.littleEndian }
    values.withUnsafeBytes { bytes += $0 }
    return bytes
  }
}
