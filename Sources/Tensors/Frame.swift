import Synchronization

/// A run of bytes that goes over the wire as one message part, without being copied.
///
/// Ownership: whoever makes a frame writes its bytes first and shares it after; from then on the
/// bytes are immutable. The last reference, dropped on whatever thread, gives the memory back
/// (to a pool, to ZeroMQ, to the allocator).
///
/// `@unchecked Sendable`: the bytes are written only before the frame is shared, and `release`
/// touches nothing but a lock-guarded pool or a reference count.
package final class Frame: @unchecked Sendable {
  /// The bytes; valid while the frame lives.
  package let bytes: UnsafeRawBufferPointer

  private let release: @Sendable () -> Void

  /// Adopts memory owned elsewhere.
  ///
  /// - Parameters:
  ///   - bytes: stays valid and unchanged until `release` is called.
  ///   - release: called once, on any thread.
  package init(adopting bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
    self.bytes = bytes
    self.release = release
  }

  /// A frame with a copy of `values`: for tests and small messages, not for hot paths.
  package convenience init<Element: BitwiseCopyable>(copying values: [Element]) {
    let byteCount = values.count * MemoryLayout<Element>.stride
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(byteCount, 1), alignment: AlignedBuffer.alignment)
    values.withUnsafeBytes { memory.copyMemory(from: $0) }
    nonisolated(unsafe) let owned = memory  // freed once, by the last reference
    self.init(adopting: UnsafeRawBufferPointer(rebasing: memory[0..<byteCount])) {
      owned.deallocate()
    }
  }

  deinit { release() }

  package var byteCount: Int { bytes.count }

  /// The bytes as 32-bit floats in native (little-endian) order.
  package var floats: UnsafeBufferPointer<Float> { bytes.bindMemory(to: Float.self) }

  /// The bytes as 32-bit integers in native (little-endian) order.
  package var int32s: UnsafeBufferPointer<Int32> { bytes.bindMemory(to: Int32.self) }
}

/// Reusable memory for outgoing frames, so that a training step allocates no tensor.
///
/// A frame made here returns its buffer when the last reference goes (usually when ZeroMQ has
/// sent it). Buffers are kept by size; a step uses the same sizes every time, so after the first
/// steps nothing is allocated. Thread-safe.
package final class FramePool: Sendable {
  private struct Shelf {
    var free: [UnsafeMutableRawBufferPointer] = []
  }

  /// The shelves, guarded by the mutex; the pointers in them are owned by the pool alone.
  private struct State: @unchecked Sendable {
    var shelves: [Int: Shelf] = [:]
    var allocatedBytes = 0
  }

  private let state = Mutex(State())

  package init() {}

  deinit {
    state.withLock { state in
      for shelf in state.shelves.values { for buffer in shelf.free { buffer.deallocate() } }
      state.shelves = [:]
    }
  }

  /// Bytes this pool has taken from the allocator so far: flat once training is under way.
  package var allocatedBytes: Int { state.withLock { $0.allocatedBytes } }

  /// Makes a frame of `byteCount` bytes and lets `fill` write all of it.
  ///
  /// The memory is not cleared: `fill` must write every byte.
  package func frame(
    byteCount: Int, fill: (UnsafeMutableRawBufferPointer) -> Void
  ) -> Frame {
    let buffer = take(byteCount)
    fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<byteCount]))
    nonisolated(unsafe) let owned = buffer  // handed back once, by the last reference
    return Frame(adopting: UnsafeRawBufferPointer(rebasing: buffer[0..<byteCount])) { [self] in
      give(back: owned)
    }
  }

  /// Makes a frame of `count` floats and lets `fill` write all of them.
  package func frame(floats count: Int, fill: (UnsafeMutableBufferPointer<Float>) -> Void) -> Frame
  {
    frame(byteCount: count * MemoryLayout<Float>.stride) {
      fill($0.bindMemory(to: Float.self))
    }
  }

  private func take(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    let size = max(byteCount, AlignedBuffer.alignment)
    let kept: UnsafeMutableRawBufferPointer? = state.withLock { state in
      if let buffer = state.shelves[size]?.free.popLast() { return buffer }
      state.allocatedBytes += size
      return nil
    }
    return kept ?? .allocate(byteCount: size, alignment: AlignedBuffer.alignment)
  }

  private func give(back buffer: UnsafeMutableRawBufferPointer) {
    nonisolated(unsafe) let owned = buffer  // nobody has it: its frame is gone
    state.withLock { $0.shelves[owned.count, default: Shelf()].free.append(owned) }
  }
}
