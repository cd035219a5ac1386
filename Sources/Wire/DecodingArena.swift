import CProtobufC
import Glibc

/// The memory a header is unpacked into: one block of fixed size, given back as a whole.
///
/// Why not `malloc` with a count: protobuf-c 1.4.1 copies unknown fields (a header of nothing
/// else grows about twentyfold), leaves some fields of a message unset on some paths, and its
/// paths after a failed allocation are untested upstream. Here memory comes zeroed, `free` does
/// nothing, so that nothing can be freed twice, and the block bounds the sum of all allocations.
struct DecodingArena: ~Copyable {
  /// Where the next allocation begins; at a stable address, since C keeps it.
  private struct Bump {
    var base: UnsafeMutableRawPointer
    var used: Int
    var capacity: Int
  }

  private let bump: UnsafeMutablePointer<Bump>

  /// Bytes that unpacking a header of `headerBytes` may take.
  ///
  /// Honest headers stay below 48 bytes a byte: the worst, a list of waits with empty strings,
  /// costs a struct, a pointer and protobuf-c's own notes for each 4 bytes. Smaller would refuse
  /// these, larger lets a hostile header take more.
  static func budget(headerBytes: Int) -> Int { 4096 + 48 * headerBytes }

  /// - Throws: `WireError.outOfMemory`.
  init(budget: Int) throws(WireError) {
    guard let base = calloc(1, budget) else { throw .outOfMemory(bytes: budget) }
    bump = .allocate(capacity: 1)
    bump.initialize(to: Bump(base: base, used: 0, capacity: budget))
  }

  deinit {
    free(bump.pointee.base)
    bump.deallocate()
  }

  /// Bytes handed out so far.
  var usedBytes: Int { bump.pointee.used }

  /// The arena as protobuf-c sees it; valid while the arena lives.
  var allocator: ProtobufCAllocator {
    ProtobufCAllocator(
      alloc: { state, size in
        guard let bump = state?.assumingMemoryBound(to: Bump.self) else { return nil }
        let start = bump.pointee.used
        let free = bump.pointee.capacity - start
        guard size <= free else { return nil }
        // Rounded up for the alignment of the next one; past the end if this was the last.
        bump.pointee.used = min(start + (size + 15) / 16 * 16, bump.pointee.capacity)
        return bump.pointee.base + start
      },
      free: { _, _ in },
      allocator_data: UnsafeMutableRawPointer(bump))
  }
}
