package import Network

/// The specification of `Pooling`.
///
/// Max: the largest pixel of the window that lies in the image; among equals the first in reading
/// order gets the gradient. Average: the sum over the window, with zeros for padding, divided by
/// the window's area within the padded image (a window hanging over the far edge of the padding,
/// which only rounding up makes, counts only what lies inside: PyTorch's `count_include_pad`).
package enum ReferencePooling {
  /// `[rows, C, OH, OW]`.
  package static func forward(_ layer: Pooling, input: ReferenceImages) -> ReferenceImages {
    var output = ReferenceImages(
      rows: input.rows, channels: input.channels, height: extent(input.height, layer),
      width: extent(input.width, layer))
    forEachWindow(layer, input, output) { row, channel, v, u, pixels, area in
      switch layer.kind {
      case .max:
        output[row, channel, v, u] = pixels.map { input[row, channel, $0.y, $0.x] }.max() ?? 0
      case .average:
        let sum = pixels.reduce(0) { $0 + input[row, channel, $1.y, $1.x] }
        output[row, channel, v, u] = sum / Double(area)
      }
    }
    return output
  }

  /// `dx`.
  package static func backward(
    _ layer: Pooling, input: ReferenceImages, outputGradient: ReferenceImages
  ) -> ReferenceImages {
    var gradient = input.zeros
    forEachWindow(layer, input, outputGradient) { row, channel, v, u, pixels, area in
      let flowing = outputGradient[row, channel, v, u]
      switch layer.kind {
      case .max:
        guard var winner = pixels.first else { return }
        for pixel in pixels
        where input[row, channel, pixel.y, pixel.x] > input[row, channel, winner.y, winner.x] {
          winner = pixel
        }
        gradient[row, channel, winner.y, winner.x] += flowing
      case .average:
        for pixel in pixels { gradient[row, channel, pixel.y, pixel.x] += flowing / Double(area) }
      }
    }
    return gradient
  }

  private static func extent(_ size: Int, _ layer: Pooling) -> Int {
    let span = size + 2 * layer.padding - layer.window
    let count = (layer.ceil ? span + layer.stride - 1 : span) / layer.stride + 1
    // A last window that would start beyond the image and its near padding is dropped.
    return layer.ceil && (count - 1) * layer.stride >= size + layer.padding ? count - 1 : count
  }

  /// Calls `body(row, channel, v, u, pixels, area)` for every window: its pixels that lie in the
  /// image, in reading order, and its area within the padded image.
  private static func forEachWindow(
    _ layer: Pooling, _ input: ReferenceImages, _ output: ReferenceImages,
    _ body: (Int, Int, Int, Int, [(y: Int, x: Int)], Int) -> Void
  ) {
    for row in 0..<output.rows {
      for channel in 0..<output.channels {
        for v in 0..<output.height {
          for u in 0..<output.width {
            let top = v * layer.stride - layer.padding
            let left = u * layer.stride - layer.padding
            let bottom = min(top + layer.window, input.height + layer.padding)
            let right = min(left + layer.window, input.width + layer.padding)
            var pixels: [(y: Int, x: Int)] = []
            for y in top..<bottom {
              for x in left..<right where input.contains(y, x) { pixels.append((y, x)) }
            }
            body(row, channel, v, u, pixels, (bottom - top) * (right - left))
          }
        }
      }
    }
  }
}
