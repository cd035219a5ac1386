/// What the segments before a JPEG's first scan say that libjpeg-turbo does not use: how the
/// camera was held (Exif), and whether Adobe's inverted CMYK is meant.
///
/// Broken or unknown segments say nothing; whether the picture can be decoded is the decoder's
/// matter. A reader of Exif as a library (libexif) would parse a hundred tags of hostile bytes for
/// the one number that is wanted.
struct JPEGMarkers: Hashable {
  /// The Exif tag, 1 to 8; 1 where there is none.
  private(set) var orientation = 1
  /// Whether there is an Adobe segment, whose CMYK is inverted by custom.
  private(set) var isAdobe = false

  private static let application1: UInt8 = 0xE1
  private static let application14: UInt8 = 0xEE
  private static let startOfScan: UInt8 = 0xDA
  private static let endOfImage: UInt8 = 0xD9
  private static let orientationTag = 0x0112
  private static let shortType = 3

  init(_ bytes: UnsafeRawBufferPointer) {
    var position = 2
    while position + 4 <= bytes.count, bytes[position] == 0xFF {
      let marker = bytes[position + 1]
      // Any number of fill bytes may stand before a marker.
      if marker == 0xFF {
        position += 1
        continue
      }
      guard marker != Self.startOfScan, marker != Self.endOfImage else { return }
      let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
      guard length >= 2, position + 2 + length <= bytes.count else { return }
      let body = UnsafeRawBufferPointer(rebasing: bytes[(position + 4)..<(position + 2 + length)])
      if marker == Self.application1, body.starts(with: "Exif\0\0".utf8) {
        let exif = UnsafeRawBufferPointer(rebasing: body.dropFirst(6))
        if let found = Self.orientation(ofExif: exif) { orientation = found }
      } else if marker == Self.application14, body.starts(with: "Adobe".utf8) {
        isAdobe = true
      }
      position += 2 + length
    }
  }

  /// The orientation in the first directory of a TIFF header, if it is there and can be.
  private static func orientation(ofExif tiff: UnsafeRawBufferPointer) -> Int? {
    guard tiff.count >= 8 else { return nil }
    let isLittle = tiff.starts(with: "II".utf8)
    guard isLittle || tiff.starts(with: "MM".utf8) else { return nil }
    func number(_ offset: Int, bytes: Int) -> Int? {
      guard offset >= 0, offset + bytes <= tiff.count else { return nil }
      var value = 0
      for index in 0..<bytes {
        value = value << 8 | Int(tiff[offset + (isLittle ? bytes - 1 - index : index)])
      }
      return value
    }
    guard number(2, bytes: 2) == 42, let directory = number(4, bytes: 4),
      let entries = number(directory, bytes: 2)
    else { return nil }
    for entry in 0..<entries {
      let offset = directory + 2 + 12 * entry
      guard let tag = number(offset, bytes: 2) else { return nil }
      guard tag == orientationTag else { continue }
      guard number(offset + 2, bytes: 2) == shortType, let value = number(offset + 8, bytes: 2),
        (1...8).contains(value)
      else { return nil }
      return value
    }
    return nil
  }
}
