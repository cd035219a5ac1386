/// CRC-32C (Castagnoli) as TFRecord files have it.
enum Checksum {
  private static let table: [UInt32] = (0..<256).map { index in
    // The polynomial 0x1EDC6F41, bits reversed.
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1
    }
  }

  static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
  }

  /// Rotated and shifted, so that a checksum of data that holds checksums means something.
  static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let value = crc32c(bytes)
    return (value >> 15 | value << 17) &+ 0xA282_EAD8
  }

  /// A record of a TFRecord file: length, its checksum, data, its checksum.
  static func record(_ data: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(data.count))
    return length + littleEndian(masked(length)) + data + littleEndian(masked(data))
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
