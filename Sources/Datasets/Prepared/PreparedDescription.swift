import FoundationEssentials
import Tensors

/// `dataset.json` of a prepared data set: everything but where the examples lie.
package struct PreparedDescription: Codable, Hashable, Sendable {
  /// One of the data set's sets.
  package struct Part: Codable, Hashable, Sendable {
    /// "train" or "test".
    package var name: String
    package var examples: Int
    package var shards: Int
    /// Pictures that could not be read.
    package var skipped: Int
  }

  /// How examples are stored in the shards.
  package enum Encoding: String, Codable, Hashable, Sendable {
    case jpeg
    /// Netpbm: a short header, then the bytes.
    case raw
  }

  /// Statistics of the training set in grey levels; the mean image is in `mean.npy`.
  package struct Statistics: Codable, Hashable, Sendable {
    package var channelMean: [Double]
    package var channelDeviation: [Double]
    /// Of the principal components of RGB, the largest first; empty unless there are 3 channels.
    package var colorVariances: [Double]
    /// A unit vector (red, green, blue) for each.
    package var colorDirections: [[Double]]
  }

  /// Version of the format: what is larger is of a newer program.
  package static let version = 1

  package var version = Self.version
  package var classes: [String]
  /// `[C, H, W]` of every example.
  package var shape: [Int]
  package var encoding: Encoding
  /// Of JPEG, 1 to 100.
  package var quality: Int?
  package var sets: [Part]
  package var statistics: Statistics

  /// What belongs to a data set of these parts.
  init(
    classes: [String], shape: Shape, encoding: Encoding, quality: Int?, sets: [Part],
    statistics: ImageStatistics
  ) {
    self.classes = classes
    self.shape = shape.extents
    self.encoding = encoding
    self.quality = quality
    self.sets = sets
    self.statistics = Statistics(
      channelMean: statistics.channelMean, channelDeviation: statistics.channelDeviation,
      colorVariances: statistics.colors?.variances ?? [],
      colorDirections: statistics.colors?.directions.map { [$0.x, $0.y, $0.z] } ?? [])
  }

  /// Whether examples of a shape can be prepared: one channel or three, and no extent above 16384.
  static func canHold(_ shape: [Int]) -> Bool {
    shape.count == 3 && (shape[0] == 1 || shape[0] == 3)
      && shape.allSatisfy { (1...(1 << 14)).contains($0) }
  }

  /// The same bytes for the same description.
  func encoded() throws(DatasetError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
    } catch {
      throw DatasetError(PreparedFolder.description, "cannot be encoded: \(error)")
    }
  }

  /// Reads a description and checks what later code relies on.
  init(path: String) throws(DatasetError) {
    let bytes = try Files.bytes(of: path)
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(bytes))
    } catch {
      throw DatasetError(path, "is no description of a prepared data set: \(error)")
    }
    guard version <= Self.version else {
      throw DatasetError(path, "has format \(version), this program reads \(Self.version)")
    }
    let channels = shape.first ?? 0
    guard Self.canHold(shape), !classes.isEmpty,
      statistics.channelMean.count == channels, statistics.channelDeviation.count == channels,
      statistics.colorVariances.count == (channels == 3 ? 3 : 0),
      statistics.colorDirections.map(\.count)
        == Array(repeating: 3, count: statistics.colorVariances.count)
    else { throw DatasetError(path, "its shape, classes and statistics do not fit together") }
    guard encoding == .raw || ImageDecoder.canFill(Shape(shape)) else {
      throw DatasetError(path, "its pictures are JPEG, and \(Shape(shape)) is no square")
    }
  }

  /// The statistics with the mean image.
  func statistics(pixelMean: [Float]) -> ImageStatistics {
    let directions = statistics.colorDirections.map { SIMD3($0[0], $0[1], $0[2]) }
    return ImageStatistics(
      shape: Shape(shape), examples: sets.first { $0.name == PreparedFolder.train }?.examples ?? 0,
      pixelMean: pixelMean, channelMean: statistics.channelMean,
      channelDeviation: statistics.channelDeviation,
      colors: directions.isEmpty
        ? nil : ColorComponents(variances: statistics.colorVariances, directions: directions))
  }
}

/// The names of the files of a prepared data set.
enum PreparedFolder {
  static let description = "dataset.json"
  static let index = "index.tsv"
  static let mean = "mean.npy"
  static let skipped = "skipped.tsv"
  /// What a preparation that is not finished goes on from.
  static let progress = "preparing"
  static let train = "train"
  static let test = "test"

  /// "train-000012.tar".
  static func shard(_ set: String, _ number: Int) -> String {
    "\(set)-\(padded(number, 6)).tar"
  }

  /// With zeros before it.
  static func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
