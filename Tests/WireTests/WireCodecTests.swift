import Messages
import Tensors
import Testing

@testable import Wire

@Suite struct WireCodecTests {
  @Test(arguments: Samples.messages.indices)
  func `a message comes back as it was`(index: Int) throws {
    let sent = Samples.messages[index]
    for header in Samples.headers {
      let parts = try WireCodec.encode(Message(header, sent.body, frames: sent.frames))
      #expect(parts.count == 1 + sent.frames.count)
      let received = try WireCodec.decode(parts)
      #expect(received.header == header)
      #expect(received.body == sent.body)
      #expect(received.frames.count == sent.frames.count)
      for (ours, theirs) in zip(received.frames, sent.frames) { #expect(ours === theirs) }
    }
  }

  @Test func `the samples cover every body`() {
    var seen: Set<String> = []
    for message in Samples.ordinaryMessages {
      seen.insert(String("\(message.body)".prefix { $0 != "(" }))
    }
    #expect(seen.count == 33)
  }

  @Test func `a diverged loss travels`() throws {
    let report = Report(turn: 1, subBatch: 0, lossSum: .nan, examples: 1)
    let parts = try WireCodec.encode(
      Message(Samples.header, .report(report), frames: [Frame(copying: [Int32(0)])]))
    guard case .report(let received) = try WireCodec.decode(parts).body else {
      Issue.record("no report")
      return
    }
    #expect(received.lossSum.isNaN)
  }

  @Test func `two nodes encode a message to the same bytes`() throws {
    for message in Samples.messages {
      let first = try WireCodec.encode(message)[0]
      let again = try WireCodec.encode(WireCodec.decode(WireCodec.encode(message)))[0]
      #expect(first.bytes.elementsEqual(again.bytes))
    }
  }

  @Test func `a header begins with the protocol version`() throws {
    let header = try WireCodec.encode(Message(Samples.header, .goodbye))[0]
    #expect(Array(header.bytes.prefix(2)) == [0x08, UInt8(Limits.protocolVersion)])
  }
}
