import CTurboJPEG

/// Writes JPEG with libjpeg-turbo: 4:2:0 for colour, the same bytes for the same pixels. Used by
/// one thread.
final class JPEGEncoder {
  private let handle: tjhandle
  /// Room for the worst case, allocated by the library when it is first needed.
  private var memory: UnsafeMutablePointer<UInt8>?
  private var room: UInt = 0

  init() throws(DatasetError) {
    guard let handle = tjInitCompress() else {
      throw DatasetError("libjpeg-turbo", "tjInitCompress: \(String(cString: tjGetErrorStr()))")
    }
    self.handle = handle
  }

  deinit {
    tjFree(memory)
    tjDestroy(handle)
  }

  /// Compresses `[height, width, channels]` bytes, 1 channel or 3.
  ///
  /// - Parameter quality: 1 to 100.
  func encode(
    _ pixels: UnsafePointer<UInt8>, width: Int, height: Int, channels: Int, quality: Int
  ) throws(DatasetError) -> [UInt8] {
    var size = room
    let isGrey = channels == 1
    let code = tjCompress2(
      handle, pixels, Int32(width), 0, Int32(height),
      Int32((isGrey ? TJPF_GRAY : TJPF_RGB).rawValue), &memory, &size,
      Int32((isGrey ? TJSAMP_GRAY : TJSAMP_420).rawValue), Int32(quality), TJFLAG_FASTDCT)
    room = max(room, size)
    guard code == 0, let memory else {
      throw DatasetError("libjpeg-turbo", "tjCompress2: \(String(cString: tjGetErrorStr2(handle)))")
    }
    return Array(UnsafeBufferPointer(start: memory, count: Int(size)))
  }
}
