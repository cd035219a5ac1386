/// How numbers travel; computed and kept they are 32-bit floats.
package enum NumberFormat: String, Hashable, Sendable, CaseIterable {
  case fp32
  /// The upper half of a float, rounded to nearest even: half the bytes, 8 bits of precision.
  case bf16

  /// Bytes of one number.
  package var bytes: Int { self == .fp32 ? 4 : 2 }
}

extension FramePool {
  /// Makes frames of `format` out of frames of floats.
  package func pack(_ frames: [Frame], as format: NumberFormat) -> [Frame] {
    guard format == .bf16 else { return frames }
    return frames.map { frame in
      let floats = frame.floats
      return self.frame(byteCount: floats.count * 2) { target in
        let words = target.bindMemory(to: UInt16.self)
        for index in 0..<floats.count { words[index] = BFloat16(floats[index]).bits }
      }
    }
  }

  /// Makes frames of floats out of frames of `format`.
  package func unpack(_ frames: [Frame], from format: NumberFormat) -> [Frame] {
    guard format == .bf16 else { return frames }
    return frames.map { frame in
      let bytes = frame.bytes
      let count = bytes.count / 2
      return self.frame(floats: count) { target in
        for index in 0..<count {
          let word = bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)
          target[index] = BFloat16(bits: word).float
        }
      }
    }
  }

  /// Makes a frame of `format`, and keeps what rounding takes away for the next time: so that in
  /// the long run nothing is lost (error feedback; Seide et al. 2014, section 3).
  ///
  /// - Parameters:
  ///   - values: what is to travel.
  ///   - earlier: as many values: what earlier frames left out, added now.
  ///   - left: becomes what this one leaves out.
  package func pack(
    _ values: UnsafePointer<Float>, count: Int, adding earlier: UnsafePointer<Float>,
    leaving left: UnsafeMutablePointer<Float>
  ) -> Frame {
    frame(byteCount: count * 2) { target in
      let words = target.bindMemory(to: UInt16.self)
      for index in 0..<count {
        let value = values[index] + earlier[index]
        let rounded = BFloat16(value)
        words[index] = rounded.bits
        // Of an overflow nothing can be kept: it must be seen, not carried along.
        let rest = value - rounded.float
        left[index] = rest.isFinite ? rest : 0
      }
    }
  }
}
