/// Arrays of 32-bit floats in NumPy's file format, version 1.0.
enum NumPyFile {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]

  /// The bytes of a row-major array.
  static func bytes(_ values: [Float], shape: [Int]) -> [UInt8] {
    var bytes = header(shape)
    for value in values {
      for shift in stride(from: 0, to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift)))
      }
    }
    return bytes
  }

  /// Reads an array that `bytes` has made.
  ///
  /// - Throws: `DatasetError` if the file has another shape, or numbers that are none.
  static func floats(path: String, shape: [Int]) throws(DatasetError) -> [Float] {
    let bytes = try Files.bytes(of: path)
    let header = header(shape)
    let count = shape.reduce(1, *)
    guard bytes.starts(with: header), bytes.count == header.count + 4 * count else {
      throw DatasetError(path, "is no array of \(shape) 32-bit floats")
    }
    let values = (0..<count).map { index in
      var bits: UInt32 = 0
      for byte in 0..<4 { bits |= UInt32(bytes[header.count + 4 * index + byte]) << (8 * byte) }
      return Float(bitPattern: bits)
    }
    guard values.allSatisfy(\.isFinite) else {
      throw DatasetError(path, "has values that are no numbers")
    }
    return values
  }

  private static func header(_ shape: [Int]) -> [UInt8] {
    let extents = shape.map(String.init).joined(separator: ", ")
    var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(extents)), }"
    // Magic, length and text together fill a multiple of 64 bytes; a line's end ends them.
    let length = magic.count + 2 + text.utf8.count + 1
    text += String(repeating: " ", count: (64 - length % 64) % 64) + "\n"
    return magic + [UInt8(text.utf8.count & 0xFF), UInt8(text.utf8.count >> 8)] + Array(text.utf8)
  }
}
