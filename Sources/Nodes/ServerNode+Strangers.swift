import Coordination
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
    guard keyDesk != nil else { return false }
    guard let standing = standing(link) else {
      // A member's own messages count until `dismissStruckOff`; see there.
      if !KeyDesk.isRequest(parts), member(over: link) != nil { return false }
      // Who asks to join asks again each second, and the list may be being written anew.
      if case .join = (try? WireCodec.decode(parts))?.body, let key = caller(link)?.key,
        isFirstLook(at: key)
      {
        return true
      }
      sendAway(link, KeyDesk.isRequest(parts))
      return true
    }
    let outcome = keyDesk?.handle(parts, from: standing, over: link) {
      switch (try? WireCodec.decode(parts))?.body {
      // Who has a token only is told so in answer to a command.
      case .statusRequest, .commandRequest, .logRequest: true
      default: false
      }
    }
    switch outcome {
    case nil, .pass: return false
    case .waits: break
    case .answered(let reply): _ = hub.send(reply, to: link)
    case .refused(let reply, let line):
      warn(.enrolment, line)
      _ = hub.send(reply, to: link)
    case .forbidden: refuseOnce(link, "its sender may only ask for a key and for the status")
    }
    return true
  }

  /// Sees to those who wait to be put on the list, and those who were taken from it.
  func settleKeys(_ now: Microseconds) {
    for answer in keyDesk?.settle(now) ?? [] {
      if answer.isEnrolled { log.info(answer.text) } else { warn(.enrolment, answer.text) }
      _ = hub.send(answer.parts, to: answer.link)
    }
    dismissStruckOff(now)
  }
}
