package import Tensors

/// Labelled images that lie in memory.
package struct InMemorySource: ExampleSource {
  package let shape: Shape
  package let classes: Int
  /// `[count, C, H, W]`, row-major, on the scale 0...255.
  private let images: [Float]
  private let labels: [Int32]

  /// Takes over the images.
  ///
  /// - Parameters:
  ///   - shape: `[C, H, W]` of one.
  ///   - images: `[count, C, H, W]`, row-major, on the scale 0...255.
  ///   - labels: one for each image, in `0..<classes`.
  package init(shape: Shape, classes: Int, images: [Float], labels: [Int32]) {
    precondition(
      shape.rank == 3 && !labels.isEmpty && images.count == labels.count * shape.count
        && labels.allSatisfy { $0 >= 0 && Int($0) < classes },
      "\(images.count) values of \(shape) images with \(labels.count) labels in \(classes) classes")
    self.shape = shape
    self.classes = classes
    self.images = images
    self.labels = labels
  }

  package var count: Int { labels.count }

  package func label(_ index: Int) -> Int32 { labels[index] }

  package func write(_ index: Int, into output: UnsafeMutablePointer<Float>) {
    images.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return }
      output.update(from: base + index * shape.count, count: shape.count)
    }
  }
}
