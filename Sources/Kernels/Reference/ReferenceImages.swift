/// Images `[rows, channels, height, width]`, row-major, in double precision: what the reference
/// layers take and give.
///
/// The reference layers are the readable specification of the fast ones: one formula, one loop a
/// sum, no blocking. They are slow and meant for small tensors.
package struct ReferenceImages: Hashable, Sendable {
  package let rows: Int
  package let channels: Int
  package let height: Int
  package let width: Int
  package var values: [Double]

  /// - Parameter values: row-major; zeros if `nil`.
  package init(
    rows: Int, channels: Int, height: Int, width: Int, values: [Double]? = nil
  ) {
    let count = rows * channels * height * width
    precondition(values == nil || values?.count == count, "\(count) values expected")
    self.rows = rows
    self.channels = channels
    self.height = height
    self.width = width
    self.values = values ?? [Double](repeating: 0, count: count)
  }

  /// Zeros in the same extents.
  package var zeros: ReferenceImages {
    ReferenceImages(rows: rows, channels: channels, height: height, width: width)
  }

  /// One pixel of one channel.
  package subscript(row: Int, channel: Int, y: Int, x: Int) -> Double {
    get { values[index(row, channel, y, x)] }
    set { values[index(row, channel, y, x)] = newValue }
  }

  /// Whether the pixel lies in the image, not in its padding.
  package func contains(_ y: Int, _ x: Int) -> Bool {
    y >= 0 && y < height && x >= 0 && x < width
  }

  private func index(_ row: Int, _ channel: Int, _ y: Int, _ x: Int) -> Int {
    ((row * channels + channel) * height + y) * width + x
  }
}
