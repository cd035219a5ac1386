import CZlib

/// An image of 8 bits a channel, rows from top to bottom.
struct PixelImage: Hashable, Sendable {
  let width: Int
  let height: Int
  /// 1 grey, 3 colours.
  let channels: Int
  var pixels: [UInt8]

  /// A grey image.
  init(width: Int, height: Int, channels: Int, fill: UInt8) {
    self.width = width
    self.height = height
    self.channels = channels
    pixels = Array(repeating: fill, count: width * height * channels)
  }

  /// Filters as a grid; each stretched over its own range. Three channels are colours, of others
  /// the first is shown.
  init(_ filters: FilterSnapshot) {
    let (count, depth, high, wide) = (
      filters.shape[0], filters.shape[1], filters.shape[2], filters.shape[3]
    )
    var columns = 1
    while columns * columns < count { columns += 1 }
    let rows = (count + columns - 1) / columns
    self.init(
      width: columns * (wide + 1) + 1, height: rows * (high + 1) + 1,
      channels: depth == 3 ? 3 : 1, fill: 255)
    for filter in 0..<count {
      let part = filters.values[filter * depth * high * wide..<(filter + 1) * depth * high * wide]
      let low = part.min() ?? 0
      let range = (part.max() ?? 0) - low
      let left = filter % columns * (wide + 1) + 1
      let top = filter / columns * (high + 1) + 1
      for channel in 0..<channels {
        for y in 0..<high {
          for x in 0..<wide {
            let value = part[part.startIndex + (channel * high + y) * wide + x]
            let level = range > 0 ? (value - low) / range * 255 : 128
            pixels[((top + y) * width + left + x) * channels + channel] =
              level.isFinite ? UInt8(max(0, min(255, level.rounded()))) : 0
          }
        }
      }
    }
  }

  /// The image as a PNG file (RFC 2083), without filters.
  func png() -> [UInt8] {
    func bigEndian(_ value: Int) -> [UInt8] {
      withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) }
    }
    func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
      let body = Array(name.utf8) + data
      return bigEndian(data.count) + body + bigEndian(Int(crc32(0, body, UInt32(body.count))))
    }
    var rows: [UInt8] = []
    for row in 0..<height {
      rows.append(0)
      rows += pixels[row * width * channels..<(row + 1) * width * channels]
    }
    var size = compressBound(UInt(rows.count))
    var packed = [UInt8](repeating: 0, count: Int(size))
    let code = compress2(&packed, &size, rows, UInt(rows.count), 6)
    precondition(code == Z_OK, "zlib refuses \(rows.count) bytes: \(code)")
    packed.removeLast(packed.count - Int(size))
    let head =
      bigEndian(width) + bigEndian(height) + [8, channels == 3 ? 2 : 0, 0, 0, 0]
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", head)
      + chunk("IDAT", packed) + chunk("IEND", [])
  }
}
