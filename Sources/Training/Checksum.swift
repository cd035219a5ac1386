import CZlib

/// A running CRC-32 (IEEE 802.3), as zlib, gzip and Python's `zlib.crc32` compute it.
struct Checksum: Hashable, Sendable {
  private var value: UInt = 0

  /// Of no bytes.
  init() {}

  /// Of a small text.
  init(of bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

  /// Goes on over more bytes.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    // zlib takes no base address for a question about its start value.
    guard let start = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
    value = crc32_z(value, start, bytes.count)
  }

  /// Eight lower-case hexadecimal digits.
  var hexadecimal: String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 8 - text.count) + text
  }
}
