import Coordination
import Messages
import Observability
import Training
import Transport

/// Whose connections are whose.
extension ServerNode {
  /// The first worker has said what the data set is.
  func learned(_ facts: DatasetFacts) {
    validation.rates.totalSteps = context.plan.totalSteps(facts)
    let difference = options.resume?.manifest.difference(
      fromTraining: facts.trainingExamples, evaluation: facts.evaluationExamples,
      fingerprint: Version.runName(facts.fingerprint))
    guard let difference else { return }
    log.warning(difference)
    monitor.event(difference, .note)
  }

  /// From where a member has joined.
  struct Home {
    let link: Hub.Link
    /// The key by which it came in; `nil` where there are none.
    let caller: Standing?
  }

  /// Who is at the other end, as far as that is proved.
  func caller(_ link: Hub.Link) -> Standing? { Standing(hub.caller(link)) }

  /// Whether a connection is one of the process that has joined as `node`: it has been dialed by the
  /// same hub, and with the same key where there are keys.
  ///
  /// An incarnation proves nothing: each view tells it to everybody.
  func belongs(_ link: Hub.Link, to node: NodeID) -> Bool {
    guard let home = homes[node], caller(link)?.key == home.caller?.key else { return false }
    return link == home.link || Hub.haveSameDialer(link, home.link)
  }

  /// Whose connection it is.
  func member(over link: Hub.Link) -> NodeID? {
    core.membership.records.keys.first { belongs(link, to: $0) }
  }

  /// Refuses what names a member and comes from somebody else; who that is pays for it.
  func refuseImpostor(_ link: Hub.Link, as record: MemberRecord) {
    broken(link, "it speaks as \(record.name), which joined by another connection")
  }

  /// Notes who asks to join: whatever it says of itself, offences are counted by its key.
  func noteCaller(_ link: Hub.Link, incarnation: UInt64) {
    guard let key = caller(link)?.key else { return }
    handle(.vouched(incarnation: incarnation, caller: "\(key)"))
  }

  /// Members hold two connections; which one this is shows in what comes over it.
  func remember(_ link: Hub.Link, of message: Message) {
    switch message.body {
    case .push, .report, .slice, .pictures, .guesses, .traceReport:
      bulkLinks[message.header.sender] = link
    default: controlLinks[message.header.sender] = link
    }
  }

  /// Remembers from where a new member joined, and forgets those who have gone.
  func settle(_ node: NodeID, at link: Hub.Link) {
    controlLinks[node] = link
    homes = homes.filter { core.membership[$0.key] != nil }
    homes[node] = Home(link: link, caller: caller(link))
  }

  /// Forgets a connection that is closed; a member's by which it hears is a member lost.
  func lost(_ link: Hub.Link) {
    // Parameters take the other connection until the next push comes.
    bulkLinks = bulkLinks.filter { $0.value != link }
    visitors.forget(link)
    complained.remove(link)
    echoes.forget(link)
    keyDesk?.forget(link)
    guard let node = controlLinks.first(where: { $0.value == link })?.key else { return }
    handle(.connectionLost(node))
    if controlLinks[node] == link { controlLinks[node] = nil }
  }
}
