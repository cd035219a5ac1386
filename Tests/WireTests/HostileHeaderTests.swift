import CWire
import Messages
import Tensors
import Testing

@testable import Wire

/// The bytes of the header of `message`, whatever is in it.
func packUnchecked(_ message: Message) -> [UInt8] {
  let arena = EncodingArena()
  let envelope = arena.envelope(message)
  var bytes = [UInt8](repeating: 0, count: crosscut__v1__envelope__get_packed_size(envelope))
  crosscut__v1__envelope__pack(envelope, &bytes)
  return bytes
}

@Suite struct HostileHeaderTests {
  private static let headers = Samples.messages.map(packUnchecked)

  /// Decodes with the raw frames of the message the header was made from; any error is fine.
  private func survives(_ header: [UInt8], frames: [Frame] = []) throws {
    let budget = DecodingArena.budget(headerBytes: header.count)
    let arena = try DecodingArena(budget: budget)
    _ = try? WireCodec.decode(Frame(copying: header), frames: frames, arena: arena)
    #expect(arena.usedBytes <= budget)
    _ = try? WireCodec.decode([Frame(copying: header)] + frames)
  }

  @Test func `every truncated header is survived, none is taken for the whole`() throws {
    for (message, header) in zip(Samples.ordinaryMessages, Self.headers) {
      for length in 0..<header.count {
        let cut = Frame(copying: Array(header.prefix(length)))
        // A cut between two fields may be a message of its own, never the one that was sent.
        if let read = try? WireCodec.decode([cut] + message.frames) {
          #expect(read.body != message.body || read.header != message.header)
        }
      }
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func `random changes are survived within the budget`(seed: UInt64) throws {
    var random = RandomStream(seed)
    for round in 0..<10_000 {
      var header = Array(Self.headers[round % Self.headers.count].prefix(1 << 12))
      for _ in 0...random.next(4) {
        guard !header.isEmpty else { break }
        let position = random.next(header.count)
        switch random.next(5) {
        case 0: header[position] ^= 1 << UInt8(random.next(8))
        case 1: header[position] = UInt8(random.next(256))
        case 2: header.remove(at: position)
        case 3: header.insert(UInt8(random.next(256)), at: position)
        default:
          // Repeats a piece: fields twice, merged messages, both members of a oneof.
          let length = 1 + random.next(min(64, header.count - position))
          header.insert(
            contentsOf: Array(header[position..<position + length]), at: random.next(header.count))
        }
      }
      try survives(header, frames: Samples.messages[round % Self.headers.count].frames)
    }
  }

  @Test func `random bytes are survived within the budget`() throws {
    var random = RandomStream(99)
    for round in 0..<20_000 {
      var header = (0..<random.next(200)).map { _ in UInt8(random.next(256)) }
      if round % 2 == 0 { header = [0x08, 0x01] + header }
      try survives(header)
    }
  }

  @Test func `two headers in one are survived`() throws {
    for first in Self.headers {
      for second in Self.headers where first.count + second.count < 4096 {
        try survives(first + second)
      }
    }
  }

  @Test func `no memory at any point is an error`() throws {
    for header in Self.headers where header.count < 4096 {
      let whole = try DecodingArena(budget: 1 << 20)
      _ = try WireCodec.decode(Frame(copying: header), frames: [], arena: whole)
      // The last allocation is rounded up to 16 bytes, so that much less is surely too little.
      for budget in stride(from: 1, through: whole.usedBytes - 16, by: 8) {
        let arena = try DecodingArena(budget: budget)
        #expect(throws: WireError.malformed(bytes: header.count)) {
          try WireCodec.decode(Frame(copying: header), frames: [], arena: arena)
        }
      }
    }
  }

  @Test func `a header of unknown fields does not grow beyond the budget`() throws {
    // Field 99, varint 0, over and over; field 4 000, two empty bytes.
    for field in [[0x98, 0x06, 0x00], [0x82, 0xfa, 0x01, 0x00]] as [[UInt8]] {
      var header: [UInt8] = [0x08, 0x01]
      while header.count + field.count <= Limits.headerBytes { header += field }
      try survives(header)
    }
  }

  @Test func `members without content do not grow beyond the budget`() throws {
    var members: [UInt8] = [0x08, 0x01]
    while members.count < 65_000 { members += [0x1a, 0x00] }
    let length = members.count
    // Field 19, the view, with so many bytes.
    let tag: [UInt8] = [0x9a, 0x01]
    let size = [UInt8(length & 0x7f | 0x80), UInt8(length >> 7 & 0x7f | 0x80), UInt8(length >> 14)]
    try survives([0x08, 0x01] + tag + size + members)
  }

  @Test(arguments: [0, 2, 77, 1 << 31] as [UInt32])
  func `another version is told, whatever follows`(version: UInt32) {
    var header: [UInt8] = [0x08]
    var rest = version
    while rest >= 0x80 {
      header.append(UInt8(rest & 0x7f | 0x80))
      rest >>= 7
    }
    header += [UInt8(rest), 0xff, 0xff, 0xff]
    #expect(throws: WireError.version(found: version)) {
      try WireCodec.decode([Frame(copying: header)])
    }
  }

  @Test func `a header without version is of version 0`() {
    let header = Array(Self.headers[8].dropFirst(2))
    #expect(throws: WireError.version(found: 0)) {
      try WireCodec.decode([Frame(copying: header)])
    }
  }

  @Test(
    arguments: [
      ("body", []),
      // Field 99.
      ("body", [0x9a, 0x06, 0x00]),
      ("push.subject", [0x82, 0x02, 0x02, 0x08, 0x01]),
      ("activations.block", [0x82, 0x03, 0x02, 0x08, 0x01]),
      ("feature gradients.block", [0x8a, 0x03, 0x00]),
      ("heartbeat.telemetry", [0xa2, 0x01, 0x00]),
      ("heartbeat.telemetry.step times", [0xa2, 0x01, 0x02, 0x22, 0x00]),
      ("view.dataset", [0x9a, 0x01, 0x02, 0x08, 0x01]),
      ("view.workers", [0x9a, 0x01, 0x04, 0x1a, 0x02, 0x08, 0x01]),
      ("wait.owner", [0xa2, 0x01, 0x06, 0x22, 0x02, 0x0a, 0x00, 0x2a, 0x00]),
    ] as [(String, [UInt8])])
  func `what is missing is named`(field: String, bytes: [UInt8]) {
    let error = #expect(throws: WireError.self) {
      try WireCodec.decode([Frame(copying: [0x08, 0x01] + bytes)])
    }
    #expect(error == .missing(field: field))
  }

  @Test(
    arguments: [
      ("join.role", [0x82, 0x01, 0x02, 0x08, 0x00]), ("join.role", [0x82, 0x01, 0x02, 0x08, 0x63]),
      ("stop.outcome", [0xba, 0x01, 0x00]), ("stop.outcome", [0xba, 0x01, 0x02, 0x08, 0x09]),
      ("leave.reason", [0xb2, 0x01, 0x03, 0x0a, 0x01, 0xff]),
      ("refusal.reason", [0x92, 0x01, 0x04, 0x0a, 0x02, 0xc3, 0x28]),
    ] as [(String, [UInt8])])
  func `enums and text that cannot be are named`(field: String, bytes: [UInt8]) {
    let error = #expect(throws: WireError.self) {
      try WireCodec.decode([Frame(copying: [0x08, 0x01] + bytes)])
    }
    guard case .invalid(let named, _) = error else {
      Issue.record("\(String(describing: error)) instead of \(field)")
      return
    }
    #expect(named == field)
  }
}

/// A seeded generator for tests: the same numbers on every machine.
private struct RandomStream {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

  /// A number below `bound`.
  mutating func next(_ bound: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int(state >> 33) % max(bound, 1)
  }
}
