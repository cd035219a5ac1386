import CZlib
import Glibc
import Tensors
import Testing

@testable import Datasets

/// Runs `body` on this thread as somebody to whom no file belongs, also where the tests run as root.
func asNobody<Value>(_ body: () throws -> Value) throws -> Value {
  typealias SetUser = @convention(c) (uid_t) -> CInt
  // Of the calling thread alone, unlike seteuid; Swift's Glibc module does not show it.
  let symbol = try #require(dlsym(nil, "setfsuid"))
  let setUser = unsafeBitCast(symbol, to: SetUser.self)
  let before = setUser(65_534)
  defer { _ = setUser(uid_t(before)) }
  return try body()
}

/// A directory that goes when the test is over.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/crosscut-datasets-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { buffer in
      String(cString: mkdtemp(buffer.baseAddress.unsafelyUnwrapped))
    }
  }

  deinit { Self.remove(path) }

  private static func remove(_ path: String) {
    if Files.isFolder(path) {
      for name in (try? Files.names(in: path)) ?? [] { remove("\(path)/\(name)") }
      rmdir(path)
    } else {
      unlink(path)
    }
  }

  /// Writes a file, in folders that it makes where they are missing, and returns its path.
  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) -> String {
    let file = "\(path)/\(name)"
    var folder = path
    for part in name.split(separator: "/").dropLast() {
      folder += "/\(part)"
      mkdir(folder, 0o700)
    }
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(descriptor) }
    var done = 0
    bytes.withUnsafeBytes { buffer in
      while done < buffer.count {
        let wrote = Glibc.write(
          descriptor, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done)
        if wrote <= 0 { return }
        done += wrote
      }
    }
    precondition(done == bytes.count, "cannot write \(file)")
    return file
  }
}

/// The bytes as a gzip file.
func gzipped(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  precondition(
    deflateInit2_(
      &stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      CInt(MemoryLayout<z_stream>.size)) == Z_OK)
  defer { deflateEnd(&stream) }
  var input = bytes
  var output = [UInt8](repeating: 0, count: bytes.count + 1024)
  let room = output.count
  let written = input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
      return room - Int(stream.avail_out)
    }
  }
  return Array(output[..<written])
}

/// An IDX file of unsigned bytes.
func idx(_ dimensions: [Int], _ bytes: [UInt8], type: UInt8 = 8) -> [UInt8] {
  var file: [UInt8] = [0, 0, type, UInt8(dimensions.count)]
  for dimension in dimensions {
    for shift in [24, 16, 8, 0] { file.append(UInt8(truncatingIfNeeded: dimension >> shift)) }
  }
  return file + bytes
}

/// A picture of the golden folder, or any other file of it.
func golden(_ name: String) throws -> [UInt8] {
  let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
  return try Files.bytes(of: "/\(folder)/Golden/\(name)")
}

/// An example of a source as it writes it.
func picture(_ index: Int, of source: any ExampleSource) throws -> [Float] {
  var pixels = [Float](repeating: -1, count: source.shape.count)
  try source.write(index, into: &pixels)
  return pixels
}
