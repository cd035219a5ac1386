import CTurboJPEG
import Testing

@testable import Datasets

/// A JPEG of `width` x `height` pixels with something to see everywhere.
private func photograph(_ width: Int, _ height: Int, _ sampling: TJSAMP, flags: Int32) -> [UInt8] {
  var pixels: [UInt8] = []
  for y in 0..<height {
    for x in 0..<width {
      let noise = (x * 7919 + y * 104_729 + x * y * 31) % 61
      pixels += [
        UInt8((x * 3 + noise) % 256), UInt8((y * 2 + noise * 2) % 256),
        UInt8((x + y * 5 + noise * 3) % 256),
      ]
    }
  }
  let handle = tjInitCompress()
  defer { tjDestroy(handle) }
  var memory: UnsafeMutablePointer<UInt8>?
  var size: UInt = 0
  defer { tjFree(memory) }
  let code = tjCompress2(
    handle, pixels, Int32(width), 0, Int32(height), Int32(TJPF_RGB.rawValue), &memory, &size,
    Int32(sampling.rawValue), 90, flags)
  #expect(code == 0)
  return Array(UnsafeBufferPointer(start: memory, count: Int(size)))
}

private func square(_ bytes: [UInt8], size: Int) throws -> [UInt8] {
  var output = [UInt8](repeating: 0, count: size * size * 3)
  let decoder = try ImageDecoder()
  try bytes.withUnsafeBytes { bytes in
    try decoder.decode(bytes, path: "picture", size: size, into: &output)
  }
  return output
}

@Suite struct PictureMiddleTests {
  private static let samplings = [
    TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411, TJSAMP_GRAY,
  ]

  @Test(
    arguments: samplings.map(\.rawValue), [(500, 333), (333, 501), (130, 97), (40, 300), (700, 64)])
  func `decoding only the middle of a picture changes no byte`(
    sampling: UInt32, extents: (Int, Int)
  ) throws {
    for flags in [0, TJFLAG_PROGRESSIVE] {
      let bytes = photograph(extents.0, extents.1, TJSAMP(sampling), flags: flags)
      for size in [33, 64, 256] {
        let whole = Raster()
        try bytes.withUnsafeBytes { bytes in
          try JPEGDecoder().decode(
            bytes, path: "picture", shorterSide: size, isInvertedCMYK: false, into: whole)
        }
        #expect(whole.columns == 0..<whole.width && whole.rows == 0..<whole.height)
        var expected = [UInt8](repeating: 0, count: size * size * 3)
        SquareResampler().resample(whole, orientation: 1, size: size, into: &expected)
        let found = try square(bytes, size: size)
        #expect(found == expected, "\(extents), sampling \(sampling), flags \(flags), to \(size)")
      }
    }
  }

  @Test func `the part that is decoded is little more than the middle`() throws {
    let raster = Raster()
    let resampler = SquareResampler()
    func decode(_ width: Int, _ height: Int) throws {
      try photograph(width, height, TJSAMP_420, flags: 0).withUnsafeBytes { bytes in
        try JPEGDecoder().decode(
          bytes, path: "picture", shorterSide: 256, isInvertedCMYK: false, into: raster
        ) { resampler.part(width: $0, height: $1, size: 256) }
      }
    }
    try decode(500, 375)
    #expect(raster.columns.count < 420 && raster.rows == 0..<375)
    try decode(375, 500)
    #expect(raster.columns == 0..<375 && raster.rows.count < 380)
  }

  @Test(arguments: [0, TJFLAG_PROGRESSIVE])
  func `what is damaged below the middle is refused too`(flags: Int32) throws {
    let bytes = photograph(64, 400, TJSAMP_420, flags: flags)
    for kept in stride(from: bytes.count - 3, to: bytes.count * 3 / 4, by: -101) {
      #expect(throws: DatasetError.self) { try square(Array(bytes[..<kept]), size: 32) }
    }
    #expect(try square(bytes, size: 32).count == 32 * 32 * 3)
  }
}
