import CTurboJPEG
import Tensors

/// Decodes JPEG with libjpeg-turbo: baseline and progressive, colour, greyscale and CMYK.
///
/// A picture that is much larger than wanted is scaled down while it is decoded, by 2, 4 or 8:
/// the library computes fewer cosines then. Its other scales (7/8, 6/8, 5/8, 3/8) have no SIMD
/// code and take longer than the whole picture (photographs of 500x375, one core: whole 1.4 ms,
/// 6/8 2.1 ms). Used by one thread.
final class JPEGDecoder {
  private var handle: tjhandle

  /// A block of 8x8 pixels takes a bit at least (Huffman coding, its mean the same as the last
  /// block's), which is 512; arithmetic coding may take less of one colour alone.
  private static let mostPixelsPerByte = 1024

  init() throws(DatasetError) { handle = try Self.makeHandle() }

  private static func makeHandle() throws(DatasetError) -> tjhandle {
    guard let handle = tjInitDecompress() else {
      throw DatasetError("libjpeg-turbo", "tjInitDecompress: \(String(cString: tjGetErrorStr()))")
    }
    return handle
  }

  deinit { tjDestroy(handle) }

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
  /// - Throws: `DatasetError` for what is no whole picture.
  func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, shorterSide: Int, isInvertedCMYK: Bool,
    into raster: Raster
  ) throws(DatasetError) {
    let data = bytes.bindMemory(to: UInt8.self).baseAddress
    var width: Int32 = 0
    var height: Int32 = 0
    var subsampling: Int32 = 0
    var colors: Int32 = 0
    guard
      tjDecompressHeader3(
        handle, data, UInt(bytes.count), &width, &height, &subsampling, &colors) == 0
    else { throw try failure(path) }
    guard width >= 1, height >= 1, Int(width) * Int(height) <= Raster.mostPixels else {
      throw DatasetError(path, "a JPEG of \(width)x\(height) pixels is too large")
    }
    // Before there is memory for it, and before the library draws what is missing in grey.
    guard Int(width) * Int(height) / Self.mostPixelsPerByte <= bytes.count else {
      throw DatasetError(
        path, "broken JPEG: \(bytes.count) bytes do not hold \(width)x\(height) pixels")
    }
    var divisor: Int32 = 1
    while divisor < 8, Self.scaled(min(width, height), by: divisor * 2) >= shorterSide {
      divisor *= 2
    }
    let scaled = (Self.scaled(width, by: divisor), Self.scaled(height, by: divisor))
    raster.resize(width: scaled.0, height: scaled.1)
    let isCMYK = colors == Int32(TJCS_CMYK.rawValue) || colors == Int32(TJCS_YCCK.rawValue)
    let format = isCMYK ? TJPF_CMYK : TJPF_RGBX
    let code = tjDecompress2(
      handle, data, UInt(bytes.count), raster.pixels.baseAddress, Int32(scaled.0), 0,
      Int32(scaled.1), Int32(format.rawValue), TJFLAG_LIMITSCANS)
    guard code == 0 || isHarmless else { throw try failure(path) }
    if isCMYK { Self.convertCMYK(raster.pixels, isInverted: isInvertedCMYK) }
  }

  /// What the library says of a picture that it refused.
  ///
  /// A handle that has failed believes to be in the middle of that picture, and of the next one
  /// says that it is 0x0 (libjpeg-turbo 2.1.5): it is replaced.
  private func failure(_ path: String) throws(DatasetError) -> DatasetError {
    let error = DatasetError(path, "broken JPEG: \(errorText)")
    let fresh = try Self.makeHandle()
    tjDestroy(handle)
    handle = fresh
    return error
  }

  /// As libjpeg rounds: up.
  private static func scaled(_ extent: Int32, by divisor: Int32) -> Int {
    Int((extent + divisor - 1) / divisor)
  }

  private var errorText: String { String(cString: tjGetErrorStr2(handle)) }

  /// Cameras leave bytes between segments that no decoder needs; every other warning is about
  /// pixels that were guessed.
  private var isHarmless: Bool {
    tjGetErrorCode(handle) == Int32(TJERR_WARNING.rawValue)
      && errorText.contains("extraneous bytes before marker")
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
