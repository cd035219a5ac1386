import Tensors

extension SafeTensorsReader {
  /// Reads the whole file once, for its checksum and for values that are not finite.
  ///
  /// - Precondition: every tensor is F32.
  /// - Parameter what: a tensor is, for what is wrong with one.
  /// - Returns: the file's CRC-32, and what is wrong with a value, if one is.
  func contentCheck(
    calling what: String = "tensor"
  ) throws(CheckpointError) -> (crc32: String, nonFinite: String?) {
    var checksum = Checksum()
    var nonFinite: String?
    let piece = 1 << 20
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 64)
    defer { buffer.deallocate() }
    // The header apart, so that the data's pieces begin with a value.
    for section in [0..<dataStart, dataStart..<(dataStart + header.dataBytes)] {
      var start = section.lowerBound
      while start < section.upperBound {
        let part = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<min(piece, section.upperBound - start)])
        do throws(SafeTensorsError) {
          try readBytes(at: start, into: part)
        } catch {
          throw CheckpointError(error)
        }
        checksum.add(UnsafeRawBufferPointer(part))
        let values = UnsafeBufferPointer(part.bindMemory(to: Float.self))
        if start >= dataStart, nonFinite == nil, let index = values.firstNonFinite {
          nonFinite = place(of: start - dataStart + 4 * index, values[index], what)
        }
        start += part.count
      }
    }
    return (checksum.hexadecimal, nonFinite)
  }

  /// "tensor a is nan at element 3".
  private func place(of byte: Int, _ value: Float, _ what: String) -> String {
    guard let (name, tensor) = header.tensors.first(where: { $0.value.bytes.contains(byte) }) else {
      return "\(value) at byte \(byte) of the data"
    }
    return "\(what) \(name) is \(value) at element \((byte - tensor.bytes.lowerBound) / 4)"
  }
}
