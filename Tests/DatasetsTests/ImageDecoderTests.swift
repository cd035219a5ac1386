import Testing

@testable import Datasets

/// `[size, size, 3]`.
private func decoded(_ bytes: [UInt8], size: Int) throws -> [UInt8] {
  var output = [UInt8](repeating: 0, count: size * size * 3)
  let decoder = try ImageDecoder()
  try bytes.withUnsafeBytes { bytes in
    try decoder.decode(bytes, path: "picture", size: size, into: &output)
  }
  return output
}

/// The color in the middle of each quarter: top left, top right, bottom left, bottom right.
private func quarters(_ pixels: [UInt8], size: Int) -> [[UInt8]] {
  [(1, 1), (1, 3), (3, 1), (3, 3)].map { y, x in
    let pixel = (y * size / 4 * size + x * size / 4) * 3
    return Array(pixels[pixel..<(pixel + 3)])
  }
}

private func isNear(_ left: [[UInt8]], _ right: [[UInt8]], within: Int = 3) -> Bool {
  zip(left.joined(), right.joined()).allSatisfy { abs(Int($0) - Int($1)) <= within }
}

/// The JPEG with an Exif segment of one tag behind its first two bytes.
private func turned(_ jpeg: [UInt8], orientation: Int, isLittle: Bool) -> [UInt8] {
  func number(_ value: Int, _ bytes: Int) -> [UInt8] {
    let big = (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * (bytes - 1 - $0))) }
    return isLittle ? big.reversed() : big
  }
  let tiff =
    Array((isLittle ? "II" : "MM").utf8) + number(42, 2) + number(8, 4) + number(1, 2)
    + number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + [0, 0]
    + number(0, 4)
  let body = Array("Exif\0\0".utf8) + tiff
  let length = body.count + 2
  return Array(jpeg[..<2]) + [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 0xFF)] + body
    + jpeg[2...]
}

@Suite struct ImageDecoderTests {
  private static let red: [UInt8] = [255, 0, 0]
  private static let green: [UInt8] = [0, 255, 0]
  private static let blue: [UInt8] = [0, 0, 255]
  private static let white: [UInt8] = [255, 255, 255]

  @Test(
    arguments: [
      "squares.jpg", "squares-progressive.jpg", "squares-cmyk.jpg", "squares-arithmetic.jpg",
    ], [16, 32, 48])
  func `baseline, progressive, CMYK and arithmetic JPEG show their colors at any size`(
    name: String, size: Int
  ) throws {
    let colors = quarters(try decoded(golden(name), size: size), size: size)
    #expect(isNear(colors, [Self.red, Self.green, Self.blue, Self.white]))
  }

  @Test func `grey becomes three equal channels`() throws {
    let colors = quarters(try decoded(golden("squares-grey.jpg"), size: 32), size: 32)
    #expect(isNear(colors, [80, 160, 200, 40].map { [$0, $0, $0] }))
  }

  // Where the colors of the stored quarters are seen once the picture is held upright.
  @Test(
    arguments: [
      (1, [0, 1, 2, 3]), (2, [1, 0, 3, 2]), (3, [3, 2, 1, 0]), (4, [2, 3, 0, 1]),
      (5, [0, 2, 1, 3]), (6, [2, 0, 3, 1]), (7, [3, 1, 2, 0]), (8, [1, 3, 0, 2]),
    ], [true, false])
  func `a picture is turned as Exif says`(turn: (Int, [Int]), isLittle: Bool) throws {
    let bytes = turned(try golden("squares.jpg"), orientation: turn.0, isLittle: isLittle)
    let stored = [Self.red, Self.green, Self.blue, Self.white]
    for size in [16, 32] {
      let colors = quarters(try decoded(bytes, size: size), size: size)
      #expect(isNear(colors, turn.1.map { stored[$0] }), "orientation \(turn.0) at \(size)")
    }
  }

  @Test func `Exif that cannot be turns nothing`() throws {
    let jpeg = try golden("squares.jpg")
    for orientation in [0, 9, 65535] {
      let bytes = turned(jpeg, orientation: orientation, isLittle: true)
      #expect(try decoded(bytes, size: 32) == decoded(jpeg, size: 32))
    }
    // Every truncation of the segment's contents: a length that lies must not be followed.
    let whole = turned(jpeg, orientation: 6, isLittle: false)
    let length = Int(whole[4]) << 8 | Int(whole[5])
    for kept in 2..<length {
      var cut = Array(whole[..<(4 + kept)]) + whole[(4 + length)...]
      cut[4] = UInt8(kept >> 8)
      cut[5] = UInt8(kept & 0xFF)
      #expect(try decoded(cut, size: 8).count == 8 * 8 * 3)
    }
  }

  @Test func `PNG of any kind becomes RGB, and transparent pixels lie on white`() throws {
    func pixels(_ name: String) throws -> [[UInt8]] {
      let all = try decoded(golden(name), size: 2)
      return stride(from: 0, to: 12, by: 3).map { Array(all[$0..<($0 + 3)]) }
    }
    #expect(
      try pixels("alpha.png") == [Self.red, [127, 127, 127], Self.white, Self.blue])
    #expect(
      try pixels("palette.png")
        == [[10, 20, 30], [200, 100, 50], [200, 100, 50], [10, 20, 30]])
    #expect(try pixels("grey.png") == [0, 85, 170, 255].map { [$0, $0, $0] })
  }

  @Test(
    arguments: [
      "squares.jpg", "squares-progressive.jpg", "squares-arithmetic.jpg", "alpha.png",
      "palette.png",
    ])
  func `a picture that is cut off anywhere is refused by its path`(name: String) throws {
    let bytes = try golden(name)
    // The end marker and PNG's last, empty chunk are no part of the pixels.
    let ends = name.hasSuffix("jpg") ? bytes.count - 2 : bytes.count - 12
    for end in stride(from: 0, to: ends, by: 7) {
      do {
        _ = try decoded(Array(bytes[..<end]), size: 16)
        Issue.record("\(end) of \(bytes.count) bytes were taken for a picture")
      } catch let error as DatasetError {
        #expect(error.place == "picture")
      }
    }
  }

  @Test func `a size that the file has no room for is refused before there is memory for it`()
    throws
  {
    var jpeg = try golden("squares.jpg")
    let frame = try #require((2..<jpeg.count).first { jpeg[$0 - 1] == 0xFF && jpeg[$0] == 0xC0 })
    for index in 4...7 { jpeg[frame + index] = 0x3F }
    #expect(
      throws: DatasetError(
        "picture", "broken JPEG: \(jpeg.count) bytes do not hold 16191x16191 pixels")
    ) { try decoded(jpeg, size: 8) }
    // Width and height of the first chunk, and its checksum.
    var png = try golden("grey.png")
    for index in [18, 22] { png[index] = 0x20 }
    let checksum = png[12..<29].withUnsafeBytes { PreparedIndex.checksum($0) }
    for byte in 0..<4 { png[29 + byte] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * byte)) }
    #expect(
      throws: DatasetError(
        "picture", "broken PNG: \(png.count) bytes do not hold 8194x8194 pixels")
    ) { try decoded(png, size: 8) }
  }

  @Test func `a JPEG of 12 bits a sample is refused by its path`() throws {
    var jpeg = try golden("squares.jpg")
    let frame = try #require((2..<jpeg.count).first { jpeg[$0 - 1] == 0xFF && jpeg[$0] == 0xC0 })
    #expect(jpeg[frame + 3] == 8)
    // The extended process, the only one of Huffman coding that has 12 bits.
    jpeg[frame] = 0xC1
    jpeg[frame + 3] = 12
    #expect(throws: DatasetError("picture", "broken JPEG: Unsupported JPEG data precision 12")) {
      try decoded(jpeg, size: 8)
    }
  }

  @Test func `a broken picture does not spoil the next one`() throws {
    let decoder = try ImageDecoder()
    for name in ["squares.jpg", "squares-progressive.jpg", "squares-grey.jpg"] {
      let whole = try golden(name)
      let expected = try decoded(whole, size: 16)
      for kept in [20, 200, whole.count / 2, whole.count - 20] {
        var output = [UInt8](repeating: 0, count: 16 * 16 * 3)
        try whole.withUnsafeBytes { bytes in
          #expect(throws: DatasetError.self) {
            try decoder.decode(
              UnsafeRawBufferPointer(rebasing: bytes[..<kept]), path: "broken", size: 16,
              into: &output)
          }
          try decoder.decode(bytes, path: "whole", size: 16, into: &output)
        }
        #expect(output == expected)
      }
    }
  }

  @Test func `what is no picture is refused`() {
    #expect(throws: DatasetError("picture", "is empty")) { try decoded([], size: 4) }
    #expect(throws: DatasetError("picture", "is neither a JPEG nor a PNG")) {
      try decoded(Array("GIF89a......".utf8), size: 4)
    }
  }

  @Test(arguments: [(50, 16), (20, 32), (37, 37)])
  func `resampling is PyTorch's antialiased bilinear`(from: Int, to: Int) throws {
    let raster = Raster()
    raster.resize(width: from, height: from)
    for y in 0..<from {
      for x in 0..<from {
        for c in 0..<3 {
          raster.pixels[(y * from + x) * 4 + c] = UInt8((x * 37 + y * 101 + c * 59 + x * y) % 256)
        }
      }
    }
    var output = [UInt8](repeating: 0, count: to * to * 3)
    SquareResampler().resample(raster, orientation: 1, size: to, into: &output)
    let expected = try golden("resampled-\(from)-\(to).bin")
    #expect(expected.count == output.count)
    // Weights of rows are multiples of 1/256 here.
    let differences = zip(output, expected).map { abs(Int($0) - Int($1)) }
    #expect(differences.max() ?? 9 <= 1)
    #expect(differences.count { $0 != 0 } * 20 <= output.count)
  }

  @Test(arguments: [(50, 16), (300, 64), (3200, 32), (5000, 16), (9000, 9), (9000, 200)])
  func `weights are whole numbers near the triangle's`(extent: Int, size: Int) {
    let taps = ResamplingTaps(.init(extent: extent, side: extent, size: size))
    let scale = Double(extent) / Double(size)
    for total in [256, 1 << 15] {
      for output in 0..<size {
        let exact = (0..<taps.count).map { tap in
          let distance =
            Double(taps.first[output] + tap) + 0.5 - (Double(output) + 0.5) * scale
          return max(0, 1 - (distance / scale).magnitude)
        }
        let sum = exact.reduce(0, +)
        let parts = taps.parts(output, of: total)
        #expect(parts.reduce(0) { $0 + Int($1) } == total, "\(output) of \(total)")
        let errors = zip(parts, exact).map { abs(Double($0) - $1 / sum * Double(total)) }
        // Of few taps the largest bears what the rounding of the others leaves.
        #expect(errors.max() ?? 9 < 3, "\(output) of \(total)")
      }
    }
  }

  @Test func `a large picture that is reduced a hundred times keeps its levels`() {
    let (from, to) = (3200, 32)
    let raster = Raster()
    raster.resize(width: from, height: from)
    for y in 0..<from {
      for x in 0..<from {
        for (c, level) in [200, x * 255 / from, y * 255 / from].enumerated() {
          raster.pixels[(y * from + x) * 4 + c] = UInt8(level)
        }
      }
    }
    var output = [UInt8](repeating: 0, count: to * to * 3)
    SquareResampler().resample(raster, orientation: 1, size: to, into: &output)
    for y in 1..<to - 1 {
      for x in 1..<to - 1 {
        let pixel = output[(y * to + x) * 3..<(y * to + x) * 3 + 3].map(Int.init)
        // The middle of a hundred columns, or rows.
        let expected = [200, (100 * x + 50) * 255 / from, (100 * y + 50) * 255 / from]
        #expect(zip(pixel, expected).allSatisfy { abs($0 - $1) <= 1 }, "\(pixel), \(expected)")
      }
    }
  }

  @Test(arguments: [(9, 5), (5, 9), (8, 5)])
  func `the middle of a picture is taken`(width: Int, height: Int) {
    let raster = Raster()
    raster.resize(width: width, height: height)
    // Levels grow by 10 a pixel along the longer side: a picture's middle is known exactly.
    let side = min(width, height)
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          raster.pixels[(y * width + x) * 4 + c] = UInt8(10 * (width > height ? x : y))
        }
      }
    }
    var output = [UInt8](repeating: 0, count: side * side * 3)
    SquareResampler().resample(raster, orientation: 1, size: side, into: &output)
    let first = Double(max(width, height) - side) / 2
    for index in 0..<side {
      let pixel = width > height ? index : index * side
      #expect(abs(Double(output[3 * pixel]) - 10 * (first + Double(index))) <= 0.5)
    }
  }
}
