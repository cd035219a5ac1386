/// Members of a tar archive in the ustar format (POSIX.1-1988), byte by byte the same each time:
/// no owner, no time.
///
/// Written here and not by libarchive: an index of the examples' offsets needs to know where each
/// begins, and libarchive brings 45 MB of libraries (libxml2, ICU) for a header of one block.
enum TarArchive {
  /// Headers and contents begin at multiples of this.
  static let block = 512

  /// The header of a file.
  ///
  /// - Parameters:
  ///   - name: at most 100 bytes.
  ///   - size: below 8 GiB.
  static func header(name: String, size: Int) -> [UInt8] {
    precondition(
      name.utf8.count <= 100 && size >= 0 && size < 1 << 33, "a member \(name) of \(size) bytes")
    var header = [UInt8](repeating: 0, count: block)
    func put(_ text: String, at offset: Int) {
      header.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
    }
    func octal(_ value: Int, _ digits: Int) -> String {
      let text = String(value, radix: 8)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    put(name, at: 0)
    put(octal(0o644, 7), at: 100)
    put(octal(0, 7), at: 108)
    put(octal(0, 7), at: 116)
    put(octal(size, 11), at: 124)
    put(octal(0, 11), at: 136)
    // The checksum counts its own field as spaces.
    put("        ", at: 148)
    put("0", at: 156)
    put("ustar\u{0}00", at: 257)
    put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", at: 148)
    return header
  }

  /// Bytes of nothing after contents of `size` bytes.
  static func padding(after size: Int) -> Int { (block - size % block) % block }

  /// What ends an archive.
  static let end = [UInt8](repeating: 0, count: 2 * block)
}
