import Messages
import Observability
import Tensors
import Transport
import Wire

/// Those who are no members: who is sent away at the door, and who only wants a key.
extension ServerNode {
  /// Says who was sent away, within bounds.
  func refused(_ failure: HandshakeFailure, _ address: String?) {
    let now = MonotonicClock.now()
    if let line = strangers.note(failure, address: address, now: now) { log.warning(line) }
    if let trouble = options.security?.allowed.trouble,
      let line = strangers.note(failure, address: address, detail: trouble, now: now)
    {
      log.warning(line)
    }
  }

  /// Answers what precedes a join, and what someone may not say.
  ///
  /// - Returns: whether the message has been dealt with.
  func isForKeyDesk(_ link: Hub.Link, _ parts: [Frame]) -> Bool {
    guard let keyDesk else { return false }
    let outcome = keyDesk.handle(parts, from: hub.caller(link)) {
      switch (try? WireCodec.decode(parts))?.body {
      // Who has a token only is told so in answer to a command.
      case .statusRequest, .commandRequest, .logRequest: true
      default: false
      }
    }
    switch outcome {
    case .pass: return false
    case .answered(let reply, let line):
      if let line { log.info(line) }
      _ = hub.send(reply, to: link)
    case .forbidden: refuseOnce(link, "its sender may only ask for a key and for the status")
    }
    return true
  }
}
