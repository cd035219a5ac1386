/// Zeroed memory aligned for vector instructions, owned by one holder.
///
/// A class, so that it can be held in arrays; the owner alone writes.
package final class AlignedBuffer {
  /// 64 bytes: a cache line and an AVX-512 register.
  package static let alignment = 64

  /// The bytes. Valid while this object lives.
  package let bytes: UnsafeMutableRawBufferPointer

  /// Allocates `byteCount` zeroed bytes (at least one cache line, so the address is never nil).
  package init(byteCount: Int) {
    precondition(byteCount >= 0, "negative buffer size \(byteCount)")
    bytes = .allocate(byteCount: max(byteCount, Self.alignment), alignment: Self.alignment)
    _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Room for `count` floats.
  package convenience init(floats count: Int) {
    self.init(byteCount: count * MemoryLayout<Float>.stride)
  }

  deinit { bytes.deallocate() }

  /// The buffer as floats.
  package var floats: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }

  /// The buffer's address as floats.
  package var floatPointer: UnsafeMutablePointer<Float> {
    bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
  }
}
