/// A decoded picture: four bytes a pixel (red, green, blue, unused), rows without gaps.
///
/// The memory is kept from picture to picture. Used by one thread.
final class Raster {
  private(set) var width = 0
  private(set) var height = 0
  private var memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 0)

  /// More pixels than any photograph has are an attack, or a broken header.
  static let mostPixels = 1 << 28

  deinit { memory.deallocate() }

  /// Takes another extent; the pixels are undefined.
  func resize(width: Int, height: Int) {
    precondition(
      width >= 1 && height >= 1 && width * height <= Self.mostPixels,
      "a raster of \(width)x\(height)")
    self.width = width
    self.height = height
    let bytes = width * height * 4
    guard bytes > memory.count else { return }
    memory.deallocate()
    memory = .allocate(capacity: bytes)
  }

  /// The pixels; valid until the next `resize`.
  var pixels: UnsafeMutableBufferPointer<UInt8> {
    UnsafeMutableBufferPointer(rebasing: memory[..<(width * height * 4)])
  }
}
