/// Unaligned loads and stores of eight floats, and the few loops over rows built on them.
extension SIMD8<Float> {
  /// Eight floats from any address: frames off the wire need not be aligned.
  @inline(__always)
  init(loading address: UnsafeRawPointer) {
    self = address.loadUnaligned(as: SIMD8<Float>.self)
  }

  /// Writes eight floats to any address.
  @inline(__always)
  func store(to address: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(address).storeBytes(of: self, as: SIMD8<Float>.self)
  }
}

/// Loops over contiguous floats.
enum DenseVector {
  /// `target[i] += source[i]`; the source may be unaligned.
  static func add(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
    let stride = MemoryLayout<Float>.stride
    var index = 0
    while index + 8 <= count {
      let sum =
        SIMD8<Float>(loading: target + index) + SIMD8<Float>(loading: source + index * stride)
      sum.store(to: target + index)
      index += 8
    }
    while index < count {
      target[index] += source.loadUnaligned(fromByteOffset: index * stride, as: Float.self)
      index += 1
    }
  }

  /// `target[i] = source[i]`; the source may be unaligned.
  static func copy(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
    UnsafeMutableRawPointer(target).copyMemory(
      from: source, byteCount: count * MemoryLayout<Float>.stride)
  }
}
