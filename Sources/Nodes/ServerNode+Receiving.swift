import Coordination
import Messages
import Observability
import Tensors
import Training
import Transport
import Wire

/// What comes in to the server.
extension ServerNode {
  func receive(_ link: Hub.Link, _ parts: [Frame]) {
    guard takesAnswers(link) else { return }
    guard !isForKeyDesk(link, parts) else { return }
    if Probe.isOne(parts) {
      if echoes.takes(parts, from: link, queued: hub.queuedBytes(to: link)) {
        _ = hub.send(parts, to: link)
      } else {
        try? hub.noteRefused(link)
      }
      return
    }
    let message: Message
    do throws(WireError) {
      message = try WireCodec.decode(parts)
    } catch {
      broken(link, "\(error)")
      if case .version = error { refuse(link, "\(error)") }
      return
    }
    let header = message.header
    switch message.body {
    case .statusRequest:
      // Of others than members `isForKeyDesk` has seen to that.
      if mayAsk(link) { reply(to: link) }
      return
    case .commandRequest(let command): return obey(command, link)
    case .logRequest(let request): return reply(to: request, link)
    case .join(let join):
      if let known = core.membership.find(incarnation: header.incarnation),
        !belongs(link, to: known.node)
      {
        return refuseImpostor(link, as: known)
      }
      guard mayAsk(link) else { return }
      guard join.softwareVersion == Version.text else {
        return refuse(
          link,
          "it is crosscut \(join.softwareVersion), the server is \(Version.text): all nodes of a run"
            + " need the same version")
      }
      if let objection = JoinEndpoint.objection(to: join, isLocal: hub.isLocal(link)) {
        return refuse(link, objection)
      }
      visitors.note(header.incarnation, at: link)
      noteCaller(link, incarnation: header.incarnation)
    default:
      guard header.run == identity.run else {
        refuseOnce(link, "a message of run \(Version.runName(header.run)), which is not this one")
        // A survivor of another run on this address: tell it, so that it does not wait for ever.
        if case .heartbeat = message.body {
          refuse(
            link, "the server here runs \(Version.runName(identity.run)), not its run",
            mayJoinAgain: true)
        }
        return
      }
      guard let record = core.membership[header.sender], record.incarnation == header.incarnation
      else {
        refuseOnce(link, "a message of \(header.sender), which is no member")
        if case .heartbeat = message.body {
          refuse(link, "it is no longer a member of the run", mayJoinAgain: true)
        }
        return
      }
      guard belongs(link, to: header.sender) else { return refuseImpostor(link, as: record) }
      remember(link, of: message)
      if takeAside(message) { return }
      spans.note(message, from: header.sender, to: .server, isArrival: true, context.plan)
    }
    // Before the message, also in the recorder.
    noticePause()
    recorder?.note(.received, parts)
    handle(.message(message))
  }
}
