package import Tensors

/// Pictures by their paths, without classes: what a trained model is asked about.
package struct PictureList: ExampleSource {
  package let shape: Shape
  package let classes: Int
  package let paths: [String]
  private let decoders = DecoderPool()

  package var count: Int { paths.count }

  /// - Parameters:
  ///   - paths: JPEG or PNG files, at least one.
  ///   - shape: `[C, H, W]` of the pictures that the model was trained on.
  ///   - classes: of the model.
  /// - Throws: `DatasetError` for a shape that no picture can take.
  package init(_ paths: [String], shape: Shape, classes: Int) throws(DatasetError) {
    guard ImageDecoder.canFill(shape) else {
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
    try decoders.withDecoder { decoder throws(DatasetError) in
      try bytes.withUnsafeBufferPointer { bytes throws(DatasetError) in
        try decoder.decode(UnsafeRawBufferPointer(bytes), path: path, shape: shape, into: output)
      }
    }
  }

  private init(_ list: PictureList, _ paths: [String]) {
    (shape, classes, self.paths) = (list.shape, list.classes, paths)
  }

  /// Those that can be read, and why the others cannot. Reads and decodes each once.
  package func readable() -> (list: PictureList, refusals: [String]) {
    var good: [String] = []
    var refusals: [String] = []
    withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.count) { buffer in
      guard let output = buffer.baseAddress else { return }
      for (index, path) in paths.enumerated() {
        do throws(DatasetError) {
          try write(index, into: output)
          good.append(path)
        } catch {
          refusals.append("\(error)")
        }
      }
    }
    return (PictureList(self, good), refusals)
  }
}
