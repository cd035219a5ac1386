import CZlib

/// Where one example of a prepared data set lies.
struct PreparedEntry: Hashable {
  var shard: Int
  /// Of the example's file in the shard.
  var offset: Int
  var bytes: Int
  /// CRC-32 of these bytes.
  var checksum: UInt32
  var label: Int
  /// The number in its set, by which it is called in the shard.
  var number: Int
  /// Where it came from.
  var name: String

  /// Its line in `index.tsv`, with the line's end.
  func line(set: String) -> String {
    "\(set)\t\(shard)\t\(offset)\t\(bytes)\t\(checksum)\t\(label)\t\(number)\t"
      + PreparedIndex.onOneLine(name) + "\n"
  }
}

/// `index.tsv`: a line for each example, in the order of the sets and their examples.
struct PreparedIndex {
  /// Of one set, without the names: millions of them would take memory that nobody uses.
  struct Part: Sendable {
    var shards: [UInt32] = []
    var offsets: [UInt64] = []
    var bytes: [UInt32] = []
    var checksums: [UInt32] = []
    var labels: [Int32] = []
    var numbers: [UInt32] = []
    var count: Int { shards.count }
  }

  private(set) var parts: [String: Part] = [:]
  /// Of all of the file's bytes.
  private(set) var hash = FowlerNollVo()

  /// What stands above the columns.
  static let header = "set\tshard\toffset\tbytes\tcrc32\tclass\tnumber\tsource\n"
  private static let tab = UInt8(ascii: "\t")
  private static let lineEnd = UInt8(ascii: "\n")
  /// More than any path takes.
  private static let longestLine = 1 << 20

  /// A name that cannot break the table.
  static func onOneLine(_ name: String) -> String {
    name.contains(where: { $0 == "\t" || $0.isNewline })
      ? String(name.map { $0 == "\t" || $0.isNewline ? "?" : $0 }) : name
  }

  /// CRC-32 as zlib computes it.
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(
      truncatingIfNeeded: crc32(
        0, bytes.bindMemory(to: UInt8.self).baseAddress, UInt32(bytes.count)))
  }

  /// Reads a whole index, some of it at a time: that of thirteen million examples has a gigabyte.
  ///
  /// - Parameter classes: how many there are.
  /// - Throws: `DatasetError` naming the line that cannot be.
  init(path: String, classes: Int, pieceBytes: Int = 1 << 20) throws(DatasetError) {
    var line = 0
    // Of a line whose end has not come yet.
    var beginning: [UInt8] = []
    try Files.read(path, pieceBytes: pieceBytes) { (piece) throws(DatasetError) in
      for byte in piece { hash.add(byte) }
      let bytes = beginning + piece
      var position = 0
      while let end = bytes[position...].firstIndex(of: Self.lineEnd) {
        line += 1
        if line > 1 { try add(bytes[position..<end], classes: classes, line: line, path: path) }
        position = end + 1
      }
      beginning = Array(bytes[position...])
      guard beginning.count <= Self.longestLine else { throw Self.broken(line + 1, path) }
    }
    if !beginning.isEmpty, line > 0 {
      try add(beginning[...], classes: classes, line: line + 1, path: path)
    }
  }

  private mutating func add(
    _ text: ArraySlice<UInt8>, classes: Int, line: Int, path: String
  ) throws(DatasetError) {
    let columns = text.split(separator: Self.tab, maxSplits: 7, omittingEmptySubsequences: false)
    guard columns.count == 8, let entry = Self.numbers(columns[1...6]), entry[4] < classes,
      entry[2] <= 1 << 30, entry[0] < 1 << 31, entry[3] < 1 << 32, entry[5] < 1 << 32
    else { throw Self.broken(line, path) }
    let set = String(decoding: columns[0], as: UTF8.self)
    parts[set, default: Part()].append(entry)
  }

  private static func broken(_ line: Int, _ path: String) -> DatasetError {
    DatasetError(path, "line \(line) is broken")
  }

  /// The columns as whole numbers; `nil` if one is none.
  private static func numbers(_ columns: ArraySlice<ArraySlice<UInt8>>) -> [Int]? {
    var numbers: [Int] = []
    for column in columns {
      guard (1...18).contains(column.count) else { return nil }
      var value = 0
      for digit in column {
        guard (48...57).contains(digit) else { return nil }
        value = value * 10 + Int(digit - 48)
      }
      numbers.append(value)
    }
    return numbers
  }
}

extension PreparedIndex.Part {
  fileprivate mutating func append(_ numbers: [Int]) {
    shards.append(UInt32(numbers[0]))
    offsets.append(UInt64(numbers[1]))
    bytes.append(UInt32(numbers[2]))
    checksums.append(UInt32(numbers[3]))
    labels.append(Int32(numbers[4]))
    self.numbers.append(UInt32(numbers[5]))
  }
}
