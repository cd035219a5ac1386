import Messages
import Nodes
import Tensors
import Testing
import Transport
import Wire

/// A process that a test plays: it joins, and says what it is told to.
final class Player {
  /// Has a server bear that the members that a test plays say nothing by themselves.
  static let mayBeSilent = ["--set", "cluster.memberTimeoutMilliseconds=60000"]

  private let hub: Hub
  private let control: Hub.Link
  private let bulk: Hub.Link
  let incarnation: UInt64
  private(set) var run: UInt64 = 0
  private(set) var node = NodeID(0)
  private(set) var heard: [Body] = []
  /// The parts of what it has heard that is no message of the protocol.
  private(set) var words: [String] = []

  init(
    _ context: Context, _ address: String, _ dialing: HubSecurity.Dialing? = nil,
    incarnation: UInt64
  ) throws {
    self.incarnation = incarnation
    hub = try Hub(context: context, listen: nil)
    control = try hub.dial(address, with: dialing)
    bulk = try hub.dial(address, with: dialing)
  }

  func close() { hub.close(lingerMilliseconds: 0) }

  /// Says something, in the name of another if there is one.
  func say(_ body: Body, as other: Player? = nil, overBulk: Bool = false) throws {
    let who = other ?? self
    let header = Header(run: who.run, view: 0, sender: who.node, incarnation: who.incarnation)
    #expect(hub.send(try WireCodec.encode(Message(header, body)), to: overBulk ? bulk : control))
  }

  /// Asks for the key that members share, and has one of its own put on the list if there is one.
  func askForKey(enrolling key: PublicKey? = nil) {
    let parts = ["crosscut keys 1", key.map { "\($0)" } ?? ""]
    #expect(hub.send(parts.map { Frame(copying: Array($0.utf8)) }, to: control))
  }

  /// Asks for the status and waits for it.
  func asksForStatus() throws {
    heard.removeAll()
    try say(.statusRequest)
    #expect(waits { heard.contains { if case .statusReply = $0 { true } else { false } } })
  }

  func join(as other: Player? = nil) throws {
    let join = Join(
      role: .worker, host: "host \(incarnation)", processID: Int32(incarnation),
      softwareVersion: Version.text, endpoint: "", preferredRank: -1)
    try say(.join(join), as: other)
  }

  /// Listens until something has come true.
  func waits(for condition: () -> Bool) -> Bool {
    eventually {
      _ = try? hub.wait(milliseconds: 20, wakeUp: nil)
      _ = hub.takeEvents()
      while let (_, parts) = try? hub.receive() {
        guard let message = try? WireCodec.decode(parts) else {
          words += parts.map { String(decoding: $0.bytes, as: UTF8.self) }
          continue
        }
        if case .welcome(let welcome) = message.body {
          (run, node) = (message.header.run, welcome.node)
        }
        heard.append(message.body)
      }
      return condition()
    }
  }

  /// Joins and waits for the welcome.
  func joins() throws {
    try join()
    #expect(waits { node.value > 0 })
  }

  var refusals: [String] {
    heard.compactMap { if case .refusal(let refusal) = $0 { refusal.reason } else { nil } }
  }
}
