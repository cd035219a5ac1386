import CProtobufC
import CWire
import Glibc

/// Owns the C structs and strings of one header while it is packed; frees them together.
final class EncodingArena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  /// A C message in its initial state.
  func make<T>(
    _ initialize: (UnsafeMutablePointer<T>?) -> Void, _ fill: (inout T) -> Void = { _ in }
  ) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    blocks.append(UnsafeMutableRawPointer(pointer))
    initialize(pointer)
    fill(&pointer.pointee)
    return pointer
  }

  /// A NUL-terminated copy of `string`, which holds no NUL itself.
  func string(_ string: String) -> UnsafeMutablePointer<CChar> {
    let bytes = string.utf8
    let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
    blocks.append(UnsafeMutableRawPointer(pointer))
    for (index, byte) in bytes.enumerated() { pointer[index] = CChar(bitPattern: byte) }
    pointer[bytes.count] = 0
    return pointer
  }

  /// An array of message pointers, as protobuf-c wants repeated messages; nil when empty.
  func array<T>(
    _ messages: [UnsafeMutablePointer<T>]
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<T>?>? {
    guard !messages.isEmpty else { return nil }
    let pointer = UnsafeMutablePointer<UnsafeMutablePointer<T>?>.allocate(
      capacity: messages.count)
    blocks.append(UnsafeMutableRawPointer(pointer))
    for (index, message) in messages.enumerated() { pointer[index] = message }
    return pointer
  }

  /// An array of small numbers, none negative; nil when empty.
  func numbers(_ numbers: [Int]) -> UnsafeMutablePointer<UInt32>? {
    guard !numbers.isEmpty else { return nil }
    let pointer = UnsafeMutablePointer<UInt32>.allocate(capacity: numbers.count)
    blocks.append(UnsafeMutableRawPointer(pointer))
    for (index, number) in numbers.enumerated() { pointer[index] = UInt32(clamping: number) }
    return pointer
  }
}
