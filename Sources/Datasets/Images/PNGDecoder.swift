import CPNG

/// Decodes PNG with libpng's simplified interface: any depth and palette becomes 8 bits a channel.
enum PNGDecoder {
  /// Deflate makes 1032 bytes of one at most, and a byte has eight pixels at most.
  private static let mostPixelsPerByte = 8 * 1032

  /// Whether bytes begin as a PNG does.
  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
  }

  /// Decodes a picture; what is transparent lies on white.
  ///
  /// - Throws: `DatasetError` for what is no whole picture.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, into raster: Raster
  ) throws(DatasetError) {
    // libpng keeps its address from call to call.
    let image = UnsafeMutablePointer<png_image>.allocate(capacity: 1)
    image.initialize(to: png_image())
    image.pointee.version = png_uint_32(PNG_IMAGE_VERSION)
    defer {
      png_image_free(image)
      image.deallocate()
    }
    guard png_image_begin_read_from_memory(image, bytes.baseAddress, bytes.count) != 0 else {
      throw DatasetError(path, "broken PNG: \(text(of: image.pointee))")
    }
    let (width, height) = (Int(image.pointee.width), Int(image.pointee.height))
    guard width >= 1, height >= 1, width <= Raster.mostPixels / height
    else {
      throw DatasetError(path, "a PNG of \(width)x\(height) pixels is too large")
    }
    guard width * height / mostPixelsPerByte <= bytes.count else {
      throw DatasetError(
        path,
        "broken PNG: \(bytes.count) bytes do not hold \(width)x\(height) pixels")
    }
    image.pointee.format = png_uint_32(PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA)
    raster.resize(width: width, height: height)
    let pixels = raster.pixels
    guard png_image_finish_read(image, nil, pixels.baseAddress, 0, nil) != 0 else {
      throw DatasetError(path, "broken PNG: \(text(of: image.pointee))")
    }
    for pixel in stride(from: 0, to: pixels.count, by: 4) where pixels[pixel + 3] != 255 {
      let alpha = UInt32(pixels[pixel + 3])
      for channel in 0..<3 {
        let mixed = UInt32(pixels[pixel + channel]) * alpha + 255 * (255 - alpha)
        pixels[pixel + channel] = UInt8((mixed + 127) / 255)
      }
    }
  }

  /// What libpng says of its failure.
  static func text(of image: png_image) -> String {
    withUnsafeBytes(of: image.message) { message in
      String(decoding: message.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
