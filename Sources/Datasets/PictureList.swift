package import Tensors

/// Pictures by their paths, without classes: what a trained model is asked about.
package struct PictureList: ExampleSource {
  package let shape: Shape
  package let classes: Int
  private let paths: [String]
  private let decoders = DecoderPool()

  package var count: Int { paths.count }

  /// - Parameters:
  ///   - paths: JPEG or PNG files, at least one.
  ///   - shape: `[C, H, W]` of the pictures that the model was trained on.
  ///   - classes: of the model.
  /// - Throws: `DatasetError` for a shape that no picture can take.
  package init(_ paths: [String], shape: Shape, classes: Int) throws(DatasetError) {
    guard shape[0] == 3 || shape[0] == 1, shape[1] == shape[2] else {
      throw DatasetError(
        paths.first ?? "pictures", "a picture cannot become \(shape), as the model wants it")
    }
    self.paths = paths
    self.shape = shape
    self.classes = classes
  }

  /// Nobody knows: 0.
  package func label(_ index: Int) -> Int32 { 0 }

  package func write(
    _ index: Int, into output: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    let path = paths[index]
    let bytes = try Files.bytes(of: path)
    let side = shape[1]
    guard shape[0] == 1 else { return try decode(bytes, path, side, output) }
    let colors = AlignedBuffer(floats: 3 * side * side)
    try decode(bytes, path, side, colors.floatPointer)
    let plane = side * side
    let (red, green) = (colors.floatPointer, colors.floatPointer + plane)
    let blue = green + plane
    // Luma of ITU-R BT.601, as JPEG has it.
    for pixel in 0..<plane {
      output[pixel] = 0.299 * red[pixel] + 0.587 * green[pixel] + 0.114 * blue[pixel]
    }
  }

  private func decode(
    _ bytes: [UInt8], _ path: String, _ side: Int, _ output: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    try decoders.withDecoder { decoder throws(DatasetError) in
      try bytes.withUnsafeBufferPointer { bytes throws(DatasetError) in
        try decoder.decode(UnsafeRawBufferPointer(bytes), path: path, side: side, into: output)
      }
    }
  }
}
