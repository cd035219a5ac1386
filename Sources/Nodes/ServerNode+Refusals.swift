import Coordination
import Messages
import Observability
import Transport

extension ServerNode {
  /// Refuses what cannot be a message; a member that sends such a thing is put out.
  func broken(_ link: Hub.Link, _ reason: String) {
    refuseOnce(link, reason)
    guard let node = member(over: link) else { return }
    handle(.misbehaved(node, reason: reason))
  }

  /// Bytes of answers that may wait for one who is no member, behind the 64 messages that ZeroMQ
  /// holds.
  private static let mostAnswerBytes = 1 << 20

  /// Whether what somebody asks may be answered. Who asks on and on and does not read, and is no
  /// member, is hung up on: each answer would stay in memory.
  func takesAnswers(_ link: Hub.Link) -> Bool {
    guard hub.queuedBytes > Self.mostAnswerBytes,
      hub.queuedBytes(to: link) > Self.mostAnswerBytes, member(over: link) == nil
    else { return true }
    if controlLinks.values.contains(link) || bulkLinks.values.contains(link) {
      // It was a member when that was sent, and is to hear that it is none any more.
      hub.dropQueue(of: link)
      return true
    }
    refusals += 1
    let who = hub.address(link) ?? "a process of this machine"
    let answers = hub.queuedBytes(to: link) >> 10
    hub.hangUp(link)
    warn(.refused, "hung up on \(who): it asks and does not read, \(answers) KiB of answers waited")
    return false
  }

  /// Counts a refused message; says so once a connection, and of many connections within bounds.
  func refuseOnce(_ link: Hub.Link, _ reason: String) {
    refusals += 1
    try? hub.noteRefused(link)
    guard complained.insert(link).inserted else { return }
    let sender = hub.address(link).map { " from \($0)" } ?? ""
    let key = caller(link).map { ", \($0.title)" } ?? ""
    warn(.refused, "refused a message\(sender)\(key): \(reason)")
  }

  /// Says so in the log, within bounds.
  func warn(_ kind: LineLimit.Kind, _ text: String) {
    let line = lineLimits[kind, default: LineLimit()].line(text, now: MonotonicClock.now())
    if let line { log.warning(line) }
  }

  func refuse(_ link: Hub.Link, _ reason: String, mayJoinAgain: Bool = false) {
    let refusal = Refusal(reason: reason, mayJoinAgain: mayJoinAgain)
    send(Message(identity, .refusal(refusal)), over: link)
  }

  /// Ends the connections of one who is not to come again.
  func hangUp(on node: NodeID) {
    for link in [controlLinks.removeValue(forKey: node), bulkLinks.removeValue(forKey: node)] {
      if let link { hub.hangUp(link) }
    }
  }
}

extension Message {
  /// Whether drills leave it alone: the members are to suffer, not those who look on or come.
  var isSpared: Bool {
    switch body {
    case .statusReply, .commandReply, .welcome: true
    default: false
    }
  }
}
