package import Tensors

/// Labelled images, any of them at any time, by number.
///
/// Several threads may ask at once. What a source gives for an index never changes, so that every
/// node of a cluster sees the same data whoever loads it.
package protocol ExampleSource: Sendable {
  /// How many examples there are, at least 1.
  var count: Int { get }
  /// Shape of one example: `[C, H, W]`.
  var shape: Shape { get }
  /// How many classes there are; every label is in `0..<classes`.
  var classes: Int { get }

  /// The class of example `index`.
  func label(_ index: Int) -> Int32

  /// Writes example `index` as `[C, H, W]` floats, row-major, on the scale 0...255.
  ///
  /// - Parameter output: room for `shape.count` floats; all of them are written.
  /// - Throws: `DatasetError` naming the file, if the example cannot be read or decoded.
  func write(_ index: Int, into output: UnsafeMutablePointer<Float>) throws(DatasetError)

  /// Writes example `index` as `[H, W, C]` bytes.
  ///
  /// - Parameter output: room for `shape.count` bytes; all of them are written.
  /// - Throws: as `write`.
  func writeBytes(_ index: Int, into output: UnsafeMutablePointer<UInt8>) throws(DatasetError)
}

extension ExampleSource {
  /// From `write`, rounded.
  package func writeBytes(
    _ index: Int, into output: UnsafeMutablePointer<UInt8>
  ) throws(DatasetError) {
    let values = AlignedBuffer(floats: shape.count)
    let picture = values.floatPointer
    try write(index, into: picture)
    let channels = shape[0]
    let plane = shape[1] * shape[2]
    for channel in 0..<channels {
      for pixel in 0..<plane {
        let level = picture[channel * plane + pixel].rounded()
        output[pixel * channels + channel] = UInt8(min(max(level, 0), 255))
      }
    }
  }
}
