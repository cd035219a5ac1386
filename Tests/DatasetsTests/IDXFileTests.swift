import Testing

@testable import Datasets

@Suite struct IDXFileTests {
  private let directory = TemporaryDirectory()
  private let imageAxes = ["count", "height", "width"]

  private func read(_ path: String) throws(DatasetError) -> IDXFile {
    try IDXFile(path: path, axes: imageAxes, ["count", "channels", "height", "width"])
  }

  private func message(_ bytes: [UInt8]) -> String? {
    let path = directory.write("file", bytes)
    do throws(DatasetError) {
      _ = try read(path)
      return nil
    } catch {
      #expect(error.place == path)
      #expect(error.description == "\(path): \(error.message)")
      return error.message
    }
  }

  @Test(arguments: [false, true])
  func `a file is read whole, plain or compressed`(compressed: Bool) throws {
    // Larger than the stream's buffer, so that refilling is exercised.
    let pixels = (0..<(3 * 200 * 300)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
    let bytes = idx([3, 200, 300], pixels)
    let file = try read(directory.write("images", compressed ? gzipped(bytes) : bytes))
    #expect(file.dimensions == [3, 200, 300])
    #expect(file.bytes == pixels)
  }

  @Test func `gzip members in a row are one file`() throws {
    let bytes = idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])
    let file = try read(
      directory.write("two", gzipped(Array(bytes[..<17])) + gzipped(Array(bytes[17...]))))
    #expect(file.bytes == [1, 2, 3, 4, 5, 6, 7, 8])
  }

  @Test func `every truncation of a plain file is refused`() {
    let bytes = idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])
    for length in 0..<4 {
      #expect(
        message(Array(bytes[..<length]))
          == "ends in the IDX header: \(length) of the first 4 bytes")
    }
    for length in 4..<16 {
      #expect(
        message(Array(bytes[..<length]))
          == "ends in the IDX header: \(length - 4) of the 12 bytes of dimensions")
    }
    for length in 16..<24 {
      #expect(
        message(Array(bytes[..<length]))
          == "announces 8 bytes (2x2x2) after its header, has \(length - 16)")
    }
  }

  @Test func `every truncation of a compressed file is refused`() {
    let bytes = gzipped(idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(message(bytes) == nil)
    for length in 2..<bytes.count {
      #expect(
        message(Array(bytes[..<length])) == "the gzip data are cut off after \(length) bytes")
    }
  }

  @Test func `a compressed file whose content is short is refused`() {
    #expect(message(gzipped(idx([2, 2, 2], [1, 2, 3]))) == "ends after 3 of 8 bytes (2x2x2)")
    #expect(
      message(gzipped([0, 0, 8, 3, 0]))
        == "ends in the IDX header: 1 of the 12 bytes of dimensions")
  }

  @Test func `trailing garbage is refused`() {
    let bytes = idx([1, 2, 2], [1, 2, 3, 4])
    #expect(message(bytes + [9]) == "announces 4 bytes (1x2x2) after its header, has 5")
    #expect(message(gzipped(bytes + [9])) == "goes on after the 4 bytes (1x2x2) it announces")
    #expect(message(gzipped(bytes) + [9]) == "garbage follows the gzip data")
    #expect(message(gzipped(bytes) + [0x1F, 0]) == "broken gzip data: incorrect header check")
  }

  @Test func `a flipped bit in compressed data is noticed`() throws {
    let bytes = gzipped(idx([1, 4, 4], Array(repeating: 7, count: 16)))
    // The last 8 bytes are the checksum and the length.
    var broken = bytes
    broken[bytes.count - 8] ^= 1
    #expect(message(broken) == "broken gzip data: incorrect data check")
    broken = bytes
    broken[bytes.count - 1] ^= 1
    #expect(message(broken) == "broken gzip data: incorrect length check")
  }

  @Test func `a foreign file is refused`() {
    #expect(
      message([0x89, 0x50, 0x4E, 0x47, 0x0D])
        == "not an IDX file: it starts with 89 50, expected 00 00")
    #expect(
      message(idx([1, 1, 1], [0, 0, 0, 0], type: 0x0D))
        == "IDX type code 0d, expected 08 (unsigned byte)")
    #expect(
      message(idx([1], [0]))
        == "1 dimension, expected 3 (count, height, width) or "
        + "4 (count, channels, height, width)")
  }

  @Test func `an impossible size is refused before memory is taken for it`() {
    let huge = 0xFFFF_FFFF
    #expect(
      message(idx([huge, huge, huge], []))
        == "impossible dimensions 4294967295x4294967295x4294967295")
    #expect(
      message(idx([huge, 28, 28], []))
        == "announces 3367254359280 bytes (4294967295x28x28) after its header, has 0")
    let compressed = gzipped(idx([huge, 28, 28], []))
    #expect(
      message(compressed)
        == "announces 3367254359280 bytes (4294967295x28x28), more than its "
        + "\(compressed.count) compressed bytes can hold")
    #expect(message(idx([0, 28, 28], [])) == "dimensions 0x28x28: each must be at least 1")
    #expect(message(idx([2, 0, 28], [])) == "dimensions 2x0x28: each must be at least 1")
  }

  @Test func `what is no file is refused`() {
    #expect(throws: DatasetError("/nowhere/x", "cannot be opened: No such file or directory")) {
      try read("/nowhere/x")
    }
    #expect(throws: DatasetError(directory.path, "is not a regular file")) {
      try read(directory.path)
    }
  }
}
