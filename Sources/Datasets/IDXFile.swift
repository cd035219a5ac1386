/// A file in the IDX format of MNIST: unsigned bytes in a row-major array.
///
/// Layout: two zero bytes, a type code (0x08, unsigned byte), the number of dimensions, each
/// dimension as a big-endian 32-bit number, then the bytes. Plain or gzip.
struct IDXFile {
  let path: String
  /// Each at least 1.
  let dimensions: [Int]
  /// As many as the product of the dimensions.
  let bytes: [UInt8]

  private static let unsignedByte: UInt8 = 0x08
  /// deflate makes at most 1032 bytes of one; a claim beyond that is refused before memory is
  /// taken for it.
  private static let largestExpansion = 1032

  /// Reads a whole file.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - axes: what the dimensions are, outermost first, for each number of them that is allowed.
  /// - Throws: `DatasetError` with the path, what was found and what was expected.
  init(path: String, axes: [String]...) throws(DatasetError) {
    let stream = try ByteStream(path: path)
    let start = try Self.header(4, "first 4 bytes", of: stream)
    guard start[0] == 0, start[1] == 0 else {
      throw DatasetError(
        path, "not an IDX file: it starts with \(Self.hexadecimal(start[0..<2])), expected 00 00")
    }
    guard start[2] == Self.unsignedByte else {
      throw DatasetError(
        path, "IDX type code \(Self.hexadecimal(start[2..<3])), expected 08 (unsigned byte)")
    }
    let rank = Int(start[3])
    guard axes.contains(where: { $0.count == rank }) else {
      let allowed = axes.map { "\($0.count) (\($0.joined(separator: ", ")))" }
      throw DatasetError(
        path,
        "\(rank) dimension\(rank == 1 ? "" : "s"), expected \(allowed.joined(separator: " or "))")
    }
    let lengths = try Self.header(4 * rank, "\(4 * rank) bytes of dimensions", of: stream)
    let dimensions = (0..<rank).map { axis in
      lengths[(4 * axis)..<(4 * axis + 4)].reduce(0) { $0 << 8 | Int($1) }
    }
    let count = try Self.checkedCount(dimensions, headerBytes: 4 + 4 * rank, of: stream)
    var bytes = [UInt8](repeating: 0, count: count)
    let got = try Self.fill(&bytes, from: stream)
    guard got == count else {
      throw DatasetError(
        path, "ends after \(got) of \(count) bytes (\(Self.product(dimensions)))")
    }
    var extra: [UInt8] = [0]
    guard try Self.fill(&extra, from: stream) == 0 else {
      throw DatasetError(
        path, "goes on after the \(count) bytes (\(Self.product(dimensions))) it announces")
    }
    self.path = path
    self.dimensions = dimensions
    self.bytes = bytes
  }

  private static func checkedCount(
    _ dimensions: [Int], headerBytes: Int, of stream: ByteStream
  ) throws(DatasetError) -> Int {
    var count = 1
    for dimension in dimensions {
      let (value, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow else {
        throw DatasetError(stream.path, "impossible dimensions \(product(dimensions))")
      }
      count = value
    }
    guard count > 0 else {
      throw DatasetError(
        stream.path, "dimensions \(product(dimensions)): each must be at least 1")
    }
    let available = stream.fileBytes - headerBytes
    if stream.isCompressed {
      guard count / largestExpansion <= stream.fileBytes else {
        throw DatasetError(
          stream.path,
          "announces \(count) bytes (\(product(dimensions))), "
            + "more than its \(stream.fileBytes) compressed bytes can hold")
      }
    } else if available != count {
      throw DatasetError(
        stream.path,
        "announces \(count) bytes (\(product(dimensions))) after its header, has \(available)")
    }
    return count
  }

  private static func header(
    _ count: Int, _ what: String, of stream: ByteStream
  ) throws(DatasetError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = try fill(&bytes, from: stream)
    guard got == count else {
      throw DatasetError(stream.path, "ends in the IDX header: \(got) of the \(what)")
    }
    return bytes
  }

  private static func fill(
    _ bytes: inout [UInt8], from stream: ByteStream
  ) throws(DatasetError) -> Int {
    try bytes.withUnsafeMutableBufferPointer { buffer throws(DatasetError) in
      try stream.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  private static func product(_ dimensions: [Int]) -> String {
    dimensions.map(String.init).joined(separator: "x")
  }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}
