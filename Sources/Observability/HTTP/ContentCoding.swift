import CZlib

/// gzip, and the tags by which a client says what it has already.
enum ContentCoding {
  /// Shorter texts are not worth the header.
  static let smallest = 1024

  /// The bytes in gzip's format, or `nil` if zlib has no memory for it.
  static func gzip(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    // 31: the largest window, with gzip's header instead of zlib's.
    guard
      deflateInit2_(
        &stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return nil }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))))
    let code = input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        stream.next_in = source.baseAddress
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.baseAddress
        stream.avail_out = UInt32(target.count)
        return deflate(&stream, Z_FINISH)
      }
    }
    guard code == Z_STREAM_END else { return nil }
    output.removeLast(output.count - Int(stream.total_out))
    return output
  }

  /// Whether a client takes gzip: `Accept-Encoding: br, gzip;q=0.5` (RFC 9110, 12.5.3).
  static func acceptsGzip(_ header: String?) -> Bool {
    guard let header else { return false }
    var byName: Bool?
    var byStar: Bool?
    for item in header.lowercased().split(separator: ",") {
      let parts = item.split(separator: ";").map { trimmed($0) }
      guard let name = parts.first else { continue }
      let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.map { $0.dropFirst(2) }
      let isWanted = quality.map { (Double($0) ?? 0) > 0 } ?? true
      switch name {
      case "gzip", "x-gzip": byName = isWanted
      case "*": byStar = isWanted
      default: break
      }
    }
    return byName ?? byStar ?? false
  }

  /// A strong tag of a body, in quotes: 64-bit FNV-1a, for telling versions of one thing apart.
  static func tag(_ bytes: [UInt8], gzipped: Bool) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return "\"\(String(hash, radix: 16))\(gzipped ? "-gz" : "")\""
  }

  /// Whether `If-None-Match` names the tag (RFC 9110, 13.1.2: the weak comparison).
  static func matches(_ header: String?, tag: String) -> Bool {
    guard let header else { return false }
    return header.split(separator: ",").contains { item in
      let one = trimmed(item)
      return one == "*" || one == tag || one == "W/" + tag
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    let head = text.drop { $0 == " " || $0 == "\t" }
    return String(head.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }
}
