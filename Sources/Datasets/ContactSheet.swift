import CPNG
import Tensors

/// A picture of many views of a data set's examples, for people to look at.
///
/// A row for each example: first its center as evaluation sees it, then what training makes of it
/// in the epochs 0, 1, 2 and so on.
package enum ContactSheet {
  /// Pixels between two views.
  private static let gap = 2
  /// Views of small pictures are enlarged, by a whole number, to at least this.
  private static let smallest = 96

  /// Draws a sheet.
  ///
  /// - Parameters:
  ///   - views: with a normalization that leaves grey levels.
  ///   - examples: numbers of the examples.
  ///   - columns: views of each, at least 1.
  /// - Returns: a PNG file.
  /// - Throws: `DatasetError` if an example cannot be read.
  package static func png(
    of source: any ExampleSource, views: ViewMaker, seed: UInt64, examples: [Int], columns: Int
  ) throws(DatasetError) -> [UInt8] {
    let (height, width) = (views.output[1], views.output[2])
    let scale = max(1, smallest / max(height, width))
    let (stepY, stepX) = (height * scale + gap, width * scale + gap)
    let sheetWidth = columns * stepX + gap
    let sheetHeight = examples.count * stepY + gap
    var sheet = [UInt8](repeating: 255, count: sheetWidth * sheetHeight * 3)
    let picture = AlignedBuffer(floats: source.shape.count)
    let input = AlignedBuffer(floats: views.output.count)
    for (row, example) in examples.enumerated() {
      try source.write(example, into: picture.floatPointer)
      for column in 0..<columns {
        let view =
          column == 0
          ? views.center
          : views.training(seed: seed, epoch: UInt64(column - 1), example: example)
        views.write(view, of: picture.floatPointer, into: input.floatPointer)
        let values = input.floatPointer
        for y in 0..<(height * scale) {
          for x in 0..<(width * scale) {
            let to = (gap + row * stepY + y) * sheetWidth + gap + column * stepX + x
            for color in 0..<3 {
              let channel = min(color, views.output[0] - 1)
              let level = values[(channel * height + y / scale) * width + x / scale]
              sheet[to * 3 + color] = UInt8(min(max(level.rounded(), 0), 255))
            }
          }
        }
      }
    }
    return try encode(sheet, width: sheetWidth, height: sheetHeight)
  }

  private static func encode(
    _ pixels: [UInt8], width: Int, height: Int
  ) throws(DatasetError) -> [UInt8] {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    image.width = png_uint_32(width)
    image.height = png_uint_32(height)
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
    defer { png_image_free(&image) }
    var size = png_alloc_size_t(0)
    guard png_image_write_to_memory(&image, nil, &size, 0, pixels, 0, nil) != 0 else {
      throw DatasetError("sheet", PNGDecoder.text(of: image))
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    guard png_image_write_to_memory(&image, &bytes, &size, 0, pixels, 0, nil) != 0 else {
      throw DatasetError("sheet", PNGDecoder.text(of: image))
    }
    return Array(bytes.prefix(Int(size)))
  }

  /// Writes a sheet's bytes: the whole file or none.
  package static func write(_ bytes: [UInt8], to path: String) throws(DatasetError) {
    try Files.replace(path, with: bytes)
  }
}
