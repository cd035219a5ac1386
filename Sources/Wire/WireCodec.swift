import CProtobufC
import CWire
package import Messages
package import Tensors

/// Messages to message parts and back: the only place that knows protobuf.
///
/// The contract, field by field, is `Protos/crosscut.proto`. Both directions enforce it, so a
/// program that breaks it hears of it itself and not only through its peer. Raw frames pass
/// through untouched: only their number and sizes are looked at. Thread-safe, without state.
package enum WireCodec {
  /// The parts of `message`: the header frame, then the message's raw frames, not copied.
  ///
  /// The header's bytes are a function of the message alone: every node encodes it the same.
  ///
  /// - Throws: `WireError` if the message breaks the contract.
  package static func encode(_ message: Message) throws(WireError) -> [Frame] {
    try message.checkContract()
    let arena = EncodingArena()
    let envelope = arena.envelope(message)
    let byteCount = crosscut__v1__envelope__get_packed_size(envelope)
    guard byteCount <= Limits.headerBytes else { throw .headerTooLarge(bytes: byteCount) }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
    let written = crosscut__v1__envelope__pack(
      envelope, memory.baseAddress?.assumingMemoryBound(to: UInt8.self))
    precondition(written == byteCount, "\(written) bytes packed of \(byteCount)")
    withExtendedLifetime(arena) {}
    nonisolated(unsafe) let owned = memory  // freed once, by the frame's last reference
    let header = Frame(adopting: UnsafeRawBufferPointer(memory)) { owned.deallocate() }
    return [header] + message.frames
  }

  /// The message in `parts`, a received multipart: anything at all may be in it.
  ///
  /// Memory taken for the header is bounded by `DecodingArena.budget(headerBytes:)`; raw frames
  /// are kept, not copied.
  ///
  /// - Throws: `WireError`, which says what is wrong with the parts. Whether a turn, chunk or
  ///   block fits the run is not known here and is for the cores to judge.
  package static func decode(_ parts: [Frame]) throws(WireError) -> Message {
    guard let header = parts.first else { throw .empty }
    guard header.byteCount <= Limits.headerBytes else {
      throw .headerTooLarge(bytes: header.byteCount)
    }
    let frames = Array(parts.dropFirst())
    try checkFrameLimits(frames)
    let arena = try DecodingArena(budget: DecodingArena.budget(headerBytes: header.byteCount))
    let message = try decode(header, frames: frames, arena: arena)
    try message.checkContract()
    return message
  }

  /// Reads a header within the memory of `arena`.
  static func decode(
    _ header: Frame, frames: [Frame], arena: borrowing DecodingArena
  ) throws(WireError) -> Message {
    // Before the rest is parsed: another version's body need not make sense to this one.
    if let version = leadingVersion(header.bytes), version != Limits.protocolVersion {
      throw .version(found: version)
    }
    var allocator = arena.allocator
    guard
      let envelope = crosscut__v1__envelope__unpack(
        &allocator, header.byteCount,
        header.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    else { throw .malformed(bytes: header.byteCount) }
    defer { crosscut__v1__envelope__free_unpacked(envelope, &allocator) }
    withExtendedLifetime(header) {}
    guard envelope.pointee.protocol_version == Limits.protocolVersion else {
      throw .version(found: envelope.pointee.protocol_version)
    }
    return Message(
      Header(
        run: envelope.pointee.run, view: envelope.pointee.view,
        sender: NodeID(envelope.pointee.sender), incarnation: envelope.pointee.incarnation),
      try Body(envelope.pointee), frames: frames)
  }

  /// The protocol version if the header begins with it, as every header this contract makes.
  private static func leadingVersion(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
    guard bytes.first == 0x08 else { return nil }  // field 1, varint
    var value: UInt64 = 0
    for (index, byte) in bytes.dropFirst().prefix(5).enumerated() {
      value |= UInt64(byte & 0x7f) << UInt64(7 * index)
      if byte & 0x80 == 0 { return UInt32(exactly: value) }
    }
    return nil
  }
}
