import Tensors
import Testing

@testable import Transport

@Suite struct ImpairmentTests {
  @Test func `what is delayed comes later, whole and in order`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    client.impair(.delay(milliseconds: 50), milliseconds: 60_000)
    for number in 0..<20 { #expect(client.send([text("\(number)"), text("body")], to: link)) }
    #expect(client.delayed.count == 20)
    let before = MonotonicClock.milliseconds()
    var heard: [String] = []
    try pump([server, client], messages: { _, _, parts in heard.append(text(parts[0])) }) {
      heard.count == 20
    }
    #expect(MonotonicClock.milliseconds() - before >= 50)
    #expect(heard == (0..<20).map { "\($0)" })
    #expect(client.impairedMessages == 20)
    #expect(client.delayedBytes == 0)
  }

  @Test func `what follows a delay does not overtake it`() throws {
    let (server, client, link) = try Network().pair(.inproc)
    client.impair(.delay(milliseconds: 40), milliseconds: 60_000)
    #expect(client.send([text("first")], to: link))
    client.impair(.delay(milliseconds: 40), milliseconds: 0)
    #expect(client.send([text("second")], to: link))
    #expect(client.send([text("spared")], to: link, sparing: true))
    var heard: [String] = []
    try pump([server, client], messages: { _, _, parts in heard.append(text(parts[0])) }) {
      heard.count == 3
    }
    #expect(heard == ["spared", "first", "second"])
    #expect(client.impairedMessages == 1)
  }

  @Test func `what is dropped is gone without a word, until the fault is over`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    client.impair(.drop(percent: 100), milliseconds: 60_000)
    for _ in 0..<10 { #expect(client.send([text("lost")], to: link)) }
    #expect(client.impairedMessages == 10)
    #expect(client.impairmentOver() == nil)
    client.impair(.drop(percent: 100), milliseconds: 0)
    #expect(client.impairmentOver() == 10)
    #expect(client.impairmentOver(ending: true) == nil)
    #expect(client.send([text("there")], to: link))
    var heard: [String] = []
    try pump([server, client], messages: { _, _, parts in heard.append(text(parts[0])) }) {
      !heard.isEmpty
    }
    #expect(heard == ["there"])
  }

  @Test func `what is corrupted lacks its end`() throws {
    let (server, client, link) = try Network().pair(.ipc)
    client.impair(.corrupt(percent: 100), milliseconds: 60_000)
    #expect(client.send([text("header")], to: link))
    #expect(client.send([text("header"), text("tensor")], to: link))
    var heard: [[String]] = []
    try pump([server, client], messages: { _, _, parts in heard.append(parts.map(text)) }) {
      heard.count == 2
    }
    #expect(heard == [["hea"], ["header", "tenso"]])
    #expect(client.impairedMessages == 2)
  }

  @Test func `no more is kept back than a peer's queue may hold`() throws {
    var options = HubOptions()
    options.queuedBytesPerLink = 100
    let (_, client, link) = try Network().pair(.tcp, options: options)
    client.impair(.delay(milliseconds: 60_000), milliseconds: 60_000)
    #expect(client.send([integers(20)], to: link))
    #expect(!client.send([integers(20)], to: link))
    #expect(client.delayedBytes == 80)
  }
}
