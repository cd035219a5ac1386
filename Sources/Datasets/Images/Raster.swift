/// A decoded picture, or a part of one: four bytes a pixel (red, green, blue, unused), rows without
/// gaps.
///
/// The memory is kept from picture to picture. Used by one thread.
final class Raster {
  /// Of the whole picture.
  private(set) var width = 0
  private(set) var height = 0
  /// Which of its columns and rows are here.
  private(set) var columns = 0..<0
  private(set) var rows = 0..<0
  private var memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 0)

  /// More pixels than any photograph has are an attack, or a broken header.
  static let mostPixels = 1 << 28

  deinit { memory.deallocate() }

  /// Takes another extent; the pixels are undefined.
  ///
  /// - Parameters:
  ///   - columns: that are kept; `nil`: all.
  ///   - rows: the same.
  func resize(width: Int, height: Int, columns: Range<Int>? = nil, rows: Range<Int>? = nil) {
    let (columns, rows) = (columns ?? 0..<width, rows ?? 0..<height)
    precondition(
      width >= 1 && height >= 1 && width * height <= Self.mostPixels
        && columns.lowerBound >= 0 && columns.upperBound <= width
        && rows.lowerBound >= 0 && rows.upperBound <= height,
      "columns \(columns) and rows \(rows) of a raster of \(width)x\(height)")
    self.width = width
    self.height = height
    self.columns = columns
    self.rows = rows
    let bytes = columns.count * rows.count * 4
    guard bytes > memory.count else { return }
    memory.deallocate()
    memory = .allocate(capacity: bytes)
  }

  /// The pixels; valid until the next `resize`.
  var pixels: UnsafeMutableBufferPointer<UInt8> {
    UnsafeMutableBufferPointer(rebasing: memory[..<(columns.count * rows.count * 4)])
  }
}
