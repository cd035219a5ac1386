/// Something that a node's socket thread saw or did: an entry of its flight recorder.
package struct FlightRecord: Hashable, Sendable {
  package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// A core begins; `number` is where its count of operations stands (0), of a server the steps
    /// of the checkpoint that it resumes.
    case begun = 1
    /// A message came; `bytes` is its header as it was.
    case received = 2
    /// A message was handed to the network; `bytes` is its header.
    case sent = 3
    /// The core asked for the operation `number`.
    case asked = 4
    /// The operation `number` is done.
    case computed = 5
    /// It failed; `bytes` says why.
    case failed = 6
    /// The connection of node `number` closed.
    case lost = 7
    /// Node `number` sent what is no message; `bytes` says what.
    case misbehaved = 8
    /// The node was asked to go, or the run to end; `bytes` says why.
    case leave = 9
    /// The checkpoint after `number` steps is written, or `bytes` says why not.
    case checkpointed = 10
    /// The operator wants a checkpoint.
    case checkpointNow = 11
    /// What the core said for people, in `bytes`.
    case note = 12
    /// The evaluation after `number` steps had the lowest error so far.
    case foundBest = 13
    /// What was to go to node `number` (0: the server) has gone out.
    case drained = 14
    /// Who will ask to join as incarnation `number` has the key in `bytes`.
    case vouched = 15
    /// The operation `number` failed so that the run cannot go on; `bytes` says why.
    case hopeless = 16
    /// The server's process did not run for `number` microseconds.
    case slept = 17
    /// Node `number` may be a member no more; `bytes` says why.
    case dismissed = 18
    /// The operation `number` has found a number that is infinite or not a number; `bytes` says of
    /// which worker it is, or in what depth, and what it is.
    case notFinite = 19
    /// The operation `number`, to go back to a checkpoint, has taken an older one: `bytes` says after
    /// how many steps, and why.
    case wentFurtherBack = 20
  }

  package var kind: Kind
  /// Monotonic microseconds of the node's machine.
  package var time: UInt64
  package var number: UInt64
  /// A header, or a text.
  package var bytes: [UInt8]
  /// Sizes of the raw frames of a message, whose content is not kept.
  package var frames: [UInt32]

  package init(
    _ kind: Kind, time: UInt64, number: UInt64 = 0, bytes: [UInt8] = [], frames: [UInt32] = []
  ) {
    self.kind = kind
    self.time = time
    self.number = number
    self.bytes = bytes
    self.frames = frames
  }

  /// The text of a note or a reason.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  // MARK: As bytes

  /// Of a record: its length, kind, time, number, counts of bytes and frames.
  static let fixedBytes = 4 + 1 + 8 + 8 + 4 + 4
  /// Longest record: a header of 64 KiB and the sizes of 1024 frames fit.
  static let mostBytes = 128 * 1024

  /// Little-endian, the length first.
  var encoded: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(Self.fixedBytes + bytes.count + 4 * frames.count)
    func put(_ value: UInt64, _ count: Int) {
      for index in 0..<count { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
    put(UInt64(Self.fixedBytes + bytes.count + 4 * frames.count), 4)
    out.append(kind.rawValue)
    put(time, 8)
    put(number, 8)
    put(UInt64(bytes.count), 4)
    put(UInt64(frames.count), 4)
    out += bytes
    for size in frames { put(UInt64(size), 4) }
    return out
  }

  /// Reads a record of exactly these bytes; `nil` if they are none.
  init?(encoded bytes: ArraySlice<UInt8>) {
    var position = bytes.startIndex
    func take(_ count: Int) -> UInt64 {
      var value: UInt64 = 0
      for index in 0..<count { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
      position += count
      return value
    }
    guard bytes.count >= Self.fixedBytes, bytes.count <= Self.mostBytes,
      take(4) == UInt64(bytes.count), let kind = Kind(rawValue: UInt8(take(1)))
    else { return nil }
    self.kind = kind
    time = take(8)
    number = take(8)
    let byteCount = Int(take(4)), frameCount = Int(take(4))
    guard Self.fixedBytes + byteCount + 4 * frameCount == bytes.count else { return nil }
    self.bytes = Array(bytes[position..<position + byteCount])
    position += byteCount
    frames = (0..<frameCount).map { _ in UInt32(take(4)) }
  }
}
