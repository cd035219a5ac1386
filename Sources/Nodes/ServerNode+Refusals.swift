import Coordination
import Messages
import Observability
import Transport

extension ServerNode {
  /// Refuses what cannot be a message; a member that sends such a thing is put out.
  func broken(_ link: Hub.Link, _ reason: String) {
    refuseOnce(link, reason)
    for links in [controlLinks, bulkLinks] {
      guard let node = links.first(where: { $0.value == link })?.key else { continue }
      return handle(.misbehaved(node, reason: reason))
    }
  }

  /// Counts a refused message; says so once a connection, so that a stranger cannot fill the log.
  func refuseOnce(_ link: Hub.Link, _ reason: String) {
    refusals += 1
    if complained.insert(link).inserted { log.warning("refused a message: \(reason)") }
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
