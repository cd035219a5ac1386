import Messages
import Observability
import Transport

extension Body {
  /// Whether nobody but the server says it to a member.
  var isServersOnly: Bool {
    switch self {
    case .welcome, .refusal, .view, .advance, .stop, .collect, .restore, .drill, .traceRequest,
      .logRequest, .statusReply, .commandReply:
      true
    default: false
    }
  }
}

extension MemberSession {
  /// Does what a refusal by the server means.
  ///
  /// - Throws: `NodeError` if it is final.
  func refused(_ refusal: Refusal) throws(NodeError) {
    let text = "the server refused this \(options.role.rawValue): \(refusal.reason)"
    if role != nil, refusal.mayJoinAgain {
      return result = .joinAgain(
        reason: "the server let this \(options.role.rawValue) go: \(refusal.reason)")
    }
    // The server may still take the former life of this process for alive, whose place it wants.
    guard role == nil, isKnown, refusal.mayJoinAgain else { throw NodeError(text) }
    if self.refusal != text { log.warning("\(text); asking again") }
    self.refusal = text
  }

  /// Refuses what cannot be a message. A member that sends such a thing is not listened to any
  /// more, and the server hears of it; a server that does is left.
  func broken(_ link: Hub.Link, _ reason: String) {
    refusals += 1
    try? hub.noteRefused(link)
    recorder?.note(.misbehaved, text: reason)
    let isNew = complained.insert(link).inserted
    if link == control || link == bulk {
      if isNew { log.warning("refused a message of the server: \(reason)") }
      if role != nil {
        result = .joinAgain(reason: "the server breaks the protocol: \(reason)")
      }
      return
    }
    guard let node = node(over: link), let name = role?.name(of: node) else {
      guard isNew else { return }
      let line = refusalLines.line("refused a message: \(reason)", now: MonotonicClock.now())
      if let line { log.warning(line) }
      return
    }
    log.warning("\(name) breaks the protocol and is not listened to any more: \(reason)")
    hangUp(on: node)
    unheard[node] = reason
    complain(of: node, reason)
  }

  private func complain(of node: NodeID, _ reason: String) {
    var header = identity
    unheardView = role?.viewNumber ?? 0
    header.view = unheardView
    send(Message(header, .complaint(Complaint(node: node, reason: reason))), over: control)
  }

  /// Complains again where another view has one who is not listened to: the complaint may have crossed
  /// it, and of an old view the server takes none.
  func complainAgain(_ role: any MemberRole) {
    guard !unheard.isEmpty, role.viewNumber != unheardView else { return }
    unheardView = role.viewNumber
    unheard = unheard.filter { role.name(of: $0.key) != nil }
    for (node, reason) in unheard { complain(of: node, reason) }
  }
}
