import CJPEG
import Tensors

/// Decodes JPEG with libjpeg-turbo: baseline and progressive, colour, greyscale and CMYK.
///
/// A picture that is much larger than wanted is scaled down while it is decoded, by 2, 4 or 8:
/// the library computes fewer cosines then. Its other scales (7/8, 6/8, 5/8, 3/8) have no SIMD
/// code and take longer than the whole picture (photographs of 500x375, one core: whole 1.4 ms,
/// 6/8 2.1 ms). What lies outside the part that is wanted is unpacked and looked at, but no pixels
/// are made of it. Used by one thread.
final class JPEGDecoder {
  private let library: OpaquePointer

  /// A block of 8x8 pixels takes a bit at least (Huffman coding, its mean the same as the last
  /// block's), which is 512; arithmetic coding may take less of one colour alone.
  private static let mostPixelsPerByte = 1024

  init() throws(DatasetError) {
    guard let library = crosscut_jpeg_make() else {
      throw DatasetError("libjpeg-turbo", "jpeg_create_decompress: no memory")
    }
    self.library = library
  }

  deinit { crosscut_jpeg_free(library) }

  /// Whether bytes begin as a JPEG does.
  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.starts(with: [0xFF, 0xD8, 0xFF])
  }

  /// Decodes a picture.
  ///
  /// - Parameters:
  ///   - path: of the file, for errors.
  ///   - shorterSide: the picture may come scaled down, but its shorter side stays at least this
  ///     if it was.
  ///   - isInvertedCMYK: whether CMYK values are 255 for no ink.
  ///   - part: which columns and rows are wanted of a picture of the given width and height; some
  ///     more may be in the raster. `nil`: all.
  /// - Throws: `DatasetError` for what is no whole picture, wherever it is damaged.
  func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, shorterSide: Int, isInvertedCMYK: Bool,
    into raster: Raster,
    part: ((_ width: Int, _ height: Int) -> (columns: Range<Int>, rows: Range<Int>))? = nil
  ) throws(DatasetError) {
    let data = bytes.bindMemory(to: UInt8.self).baseAddress
    var width: UInt32 = 0
    var height: UInt32 = 0
    var isCMYK: Int32 = 0
    guard crosscut_jpeg_open(library, data, bytes.count, &width, &height, &isCMYK) == 0
    else { throw failure(path) }
    guard width >= 1, height >= 1, Int(width) * Int(height) <= Raster.mostPixels else {
      throw DatasetError(path, "a JPEG of \(width)x\(height) pixels is too large")
    }
    // Before there is memory for it, and before the library draws what is missing in grey.
    guard Int(width) * Int(height) / Self.mostPixelsPerByte <= bytes.count else {
      throw DatasetError(
        path, "broken JPEG: \(bytes.count) bytes do not hold \(width)x\(height) pixels")
    }
    var divisor: UInt32 = 1
    while divisor < 8, Self.scaled(min(width, height), by: divisor * 2) >= shorterSide {
      divisor *= 2
    }
    let scaled = (Self.scaled(width, by: divisor), Self.scaled(height, by: divisor))
    let (columns, rows) = part?(scaled.0, scaled.1) ?? (0..<scaled.0, 0..<scaled.1)
    var left = UInt32(columns.lowerBound)
    var count = UInt32(columns.count)
    guard crosscut_jpeg_start(library, divisor, &left, &count) == 0 else { throw failure(path) }
    raster.resize(
      width: scaled.0, height: scaled.1, columns: Int(left)..<Int(left + count), rows: rows)
    guard
      crosscut_jpeg_read(
        library, UInt32(rows.lowerBound), UInt32(rows.count), raster.pixels.baseAddress) == 0
    else { throw failure(path) }
    if isCMYK != 0 { Self.convertCMYK(raster.pixels, isInverted: isInvertedCMYK) }
  }

  /// What the library says of a picture that it refused.
  private func failure(_ path: String) -> DatasetError {
    DatasetError(path, "broken JPEG: \(String(cString: crosscut_jpeg_message(library)))")
  }

  /// As libjpeg rounds: up.
  private static func scaled(_ extent: UInt32, by divisor: UInt32) -> Int {
    Int((extent + divisor - 1) / divisor)
  }

  /// Inks to light, without colour profiles: R = (255 - C) (255 - K) / 255.
  private static func convertCMYK(_ pixels: UnsafeMutableBufferPointer<UInt8>, isInverted: Bool) {
    let flip: UInt8 = isInverted ? 0 : 255
    for pixel in stride(from: 0, to: pixels.count, by: 4) {
      let light = UInt32(pixels[pixel + 3] ^ flip)
      for ink in 0..<3 {
        let product = UInt32(pixels[pixel + ink] ^ flip) * light
        pixels[pixel + ink] = UInt8((product + 127) / 255)
      }
    }
  }
}
