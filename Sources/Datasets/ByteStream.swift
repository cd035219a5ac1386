import CZlib
import Glibc

/// The bytes of a file in order, decompressed on the way where the file is gzip.
///
/// Compression is recognised by content, not by the file's name. zlib's own `gzread` would do
/// the same but ignores garbage behind the compressed data, and a file that is not what it seems
/// should be refused. Used by one thread.
final class ByteStream {
  let path: String
  /// Size of the file on disk.
  let fileBytes: Int
  let isCompressed: Bool

  private let descriptor: CInt
  private let buffer: UnsafeMutableRawBufferPointer
  private var position = 0
  private var filled = 0
  /// Allocated once: zlib refuses a state that has moved.
  private let inflater: UnsafeMutablePointer<z_stream>
  private var reachedEnd = false

  private static let bufferBytes = 64 * 1024
  private static let magic: [UInt8] = [0x1F, 0x8B]

  /// Opens a regular file.
  init(path: String) throws(DatasetError) {
    let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else {
      throw DatasetError(path, "cannot be opened: \(Files.systemError())")
    }
    var status = stat()
    guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw DatasetError(path, "is not a regular file")
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.bufferBytes, alignment: 16)
    let first: Int
    do {
      first = try Self.fill(memory, from: opened, path: path)
    } catch {
      memory.deallocate()
      close(opened)
      throw error
    }
    let compressed = first >= 2 && memory[0..<2].elementsEqual(Self.magic)
    inflater = .allocate(capacity: 1)
    inflater.initialize(to: z_stream())
    if compressed {
      // 15 bits of window, +16: gzip framing with its checksum.
      let code = inflateInit2_(
        inflater, 15 + 16, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
      guard code == Z_OK else {
        inflater.deallocate()
        memory.deallocate()
        close(opened)
        throw DatasetError(path, "inflateInit2 failed with code \(code)")
      }
    }
    self.path = path
    fileBytes = Int(status.st_size)
    isCompressed = compressed
    descriptor = opened
    buffer = memory
    filled = first
  }

  deinit {
    if isCompressed { inflateEnd(inflater) }
    inflater.deallocate()
    buffer.deallocate()
    close(descriptor)
  }

  /// Reads the next bytes.
  ///
  /// - Returns: how many were read; fewer than there is room for only at the end.
  /// - Throws: `DatasetError` if the file cannot be read or is broken gzip.
  func read(into output: UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int {
    var done = 0
    while done < output.count {
      let room = UnsafeMutableRawBufferPointer(rebasing: output[done...])
      let got = try isCompressed ? inflateSome(into: room) : copySome(into: room)
      if got == 0 { break }
      done += got
    }
    return done
  }

  private func copySome(into room: UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int {
    if position == filled { try refill() }
    let count = min(room.count, filled - position)
    room.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[position..<(position + count)]))
    position += count
    return count
  }

  private func inflateSome(into room: UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int {
    // zlib counts in 32 bits.
    let count = min(room.count, 1 << 30)
    while true {
      if position == filled { try refill() }
      if reachedEnd {
        if position == filled { return 0 }
        try startNextMember()
      }
      guard position < filled else {
        throw DatasetError(path, "the gzip data are cut off after \(fileBytes) bytes")
      }
      inflater.pointee.next_in = (buffer.baseAddress.unsafelyUnwrapped + position)
        .assumingMemoryBound(to: UInt8.self)
      inflater.pointee.avail_in = UInt32(filled - position)
      inflater.pointee.next_out =
        room.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
      inflater.pointee.avail_out = UInt32(count)
      let code = inflate(inflater, Z_NO_FLUSH)
      position = filled - Int(inflater.pointee.avail_in)
      switch code {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: reachedEnd = true
      default:
        let text = inflater.pointee.msg.map { String(cString: $0) } ?? "zlib code \(code)"
        throw DatasetError(path, "broken gzip data: \(text)")
      }
      let got = count - Int(inflater.pointee.avail_out)
      if got > 0 { return got }
    }
  }

  /// After the end of a gzip member only another member may follow.
  private func startNextMember() throws(DatasetError) {
    guard buffer[position] == Self.magic[0] else {
      throw DatasetError(path, "garbage follows the gzip data")
    }
    inflateReset(inflater)
    reachedEnd = false
  }

  private func refill() throws(DatasetError) {
    position = 0
    filled = try Self.fill(buffer, from: descriptor, path: path)
  }

  private static func fill(
    _ memory: UnsafeMutableRawBufferPointer, from descriptor: CInt, path: String
  ) throws(DatasetError) -> Int {
    var done = 0
    while done < memory.count {
      let got = Glibc.read(
        descriptor, memory.baseAddress.unsafelyUnwrapped + done, memory.count - done)
      if got == 0 { break }
      if got < 0 {
        if errno == EINTR { continue }
        throw DatasetError(path, "cannot be read: \(Files.systemError())")
      }
      done += got
    }
    return done
  }
}
