/// Loops over contiguous floats whose source may be unaligned, as frames off the wire are.
///
/// Plain loops: the compiler makes vector instructions of them, while `SIMD8<Float>` written out
/// was two to eight times slower for the baseline x86-64 that is shipped.
package enum DenseVector {
  /// `target[i] += source[i]`.
  package static func add(
    _ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int
  ) {
    for index in 0..<count {
      target[index] += source.loadUnaligned(
        fromByteOffset: index * MemoryLayout<Float>.stride, as: Float.self)
    }
  }

  /// `target[i] = source[i]`.
  static func copy(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
    UnsafeMutableRawPointer(target).copyMemory(
      from: source, byteCount: count * MemoryLayout<Float>.stride)
  }
}
