import Tensors

/// Turns the bytes of a JPEG or PNG file into a square picture of a given size.
///
/// The central square of the picture, held upright, is sampled to the size (`SquareResampler`).
/// Grey becomes three equal channels. Formats are recognised by content. Used by one thread; the
/// memory is kept from picture to picture.
package final class ImageDecoder {
  private let jpeg: JPEGDecoder
  private let resampler = SquareResampler()
  private let raster = Raster()
  private var square: [UInt8] = []

  /// - Throws: `DatasetError` if libjpeg-turbo has no memory.
  package init() throws(DatasetError) { jpeg = try JPEGDecoder() }

  /// Decodes one picture.
  ///
  /// - Parameters:
  ///   - bytes: the file.
  ///   - path: what errors call it.
  ///   - output: `[size, size, 3]` bytes, red, green, blue; all are written.
  /// - Throws: `DatasetError` with the path, for what is no whole JPEG or PNG.
  package func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, size: Int,
    into output: UnsafeMutablePointer<UInt8>
  ) throws(DatasetError) {
    var orientation = 1
    if JPEGDecoder.recognizes(bytes) {
      let markers = JPEGMarkers(bytes)
      orientation = markers.orientation
      try jpeg.decode(
        bytes, path: path, shorterSide: size, isInvertedCMYK: markers.isAdobe, into: raster
      ) { [resampler] width, height in resampler.part(width: width, height: height, size: size) }
    } else if PNGDecoder.recognizes(bytes) {
      try PNGDecoder.decode(bytes, path: path, into: raster)
    } else {
      throw DatasetError(path, bytes.isEmpty ? "is empty" : "is neither a JPEG nor a PNG")
    }
    resampler.resample(raster, orientation: orientation, size: size, into: output)
  }

  /// Decodes one picture as sources give them: `[C, S, S]` floats on the scale 0...255, three
  /// channels or one, which is the picture's luma.
  ///
  /// - Throws: `DatasetError` with the path, for what is no whole JPEG or PNG.
  func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, shape: Shape,
    into output: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    precondition(Self.canFill(shape), "a picture as \(shape)")
    let side = shape[1]
    let plane = side * side
    if square.count < plane * 3 { square = Array(repeating: 0, count: plane * 3) }
    try square.withUnsafeMutableBufferPointer { square throws(DatasetError) in
      let square = square.baseAddress.unsafelyUnwrapped
      try decode(bytes, path: path, size: side, into: square)
      guard shape[0] == 1 else {
        let (red, green, blue) = (output, output + plane, output + 2 * plane)
        for pixel in 0..<plane {
          red[pixel] = Float(square[pixel * 3])
          green[pixel] = Float(square[pixel * 3 + 1])
          blue[pixel] = Float(square[pixel * 3 + 2])
        }
        return
      }
      for pixel in 0..<plane {
        let red = Float(square[pixel * 3])
        let green = Float(square[pixel * 3 + 1])
        let blue = Float(square[pixel * 3 + 2])
        // As ITU-R BT.601 has it, and JPEG; grey stays what it is.
        output[pixel] =
          red == green && green == blue ? red : 0.299 * red + 0.587 * green + 0.114 * blue
      }
    }
  }

  /// Whether a picture can become an example of this shape.
  static func canFill(_ shape: Shape) -> Bool {
    shape.rank == 3 && (shape[0] == 3 || shape[0] == 1) && shape[1] == shape[2]
  }
}

/// Decoders for as many threads as decode at a time.
final class DecoderPool: Sendable {
  private let lock = Condition()
  /// Under `lock`.
  private nonisolated(unsafe) var free: [ImageDecoder] = []

  /// Lends a decoder to `body`.
  func withDecoder<Value>(
    _ body: (ImageDecoder) throws(DatasetError) -> Value
  ) throws(DatasetError) -> Value {
    let kept = lock.locked { free.popLast() }
    let decoder: ImageDecoder
    if let kept { decoder = kept } else { decoder = try ImageDecoder() }
    defer { lock.locked { free.append(decoder) } }
    return try body(decoder)
  }
}
