import Messages

extension FCCore {
  /// A sub-batch's numbers are not finite: its feature gradients stay here. The workers cannot push
  /// without them, so the turn is not committed, whatever the server makes of it.
  mutating func refuse(_ notFinite: NotFinite, _ lane: Int, _ out: inout [Directive]) {
    // Its lane stays where it is, so the turn does not end here either.
    refusedTurn = turn
    var culprit = identity.sender
    if let row = notFinite.givenRow,
      let worker = senders(lane).firstIndex(where: { $0?.contains(row) ?? false }),
      let member = gate.view?.workers[worker]
    {
      culprit = member.node
    }
    let fault = Fault(
      turn: turn, culprit: culprit, depth: notFinite.depth, what: notFinite.what)
    out.append(.send(message(.fault(fault)), to: .server))
    out.append(.note("turn \(turn) cannot be applied: \(notFinite.what)"))
  }
}
