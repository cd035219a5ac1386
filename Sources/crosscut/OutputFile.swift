import Glibc

/// A file that a command was asked to write.
enum OutputFile {
  /// Writes all of it, over what is there.
  static func write(_ bytes: [UInt8], to path: String) throws(OutputError) {
    guard let file = fopen(path, "w") else { throw OutputError(path: path, code: errno) }
    let written = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, written == bytes.count else {
      throw OutputError(path: path, code: errno)
    }
  }
}

/// A file cannot be written.
struct OutputError: Error, CustomStringConvertible {
  let path: String
  let code: Int32

  var description: String { "cannot write \(path): \(String(cString: strerror(code)))" }
}
