import CLinux
import Configuration
import Coordination
import Glibc
import Messages
import Network
import Observability
import Tensors
import Training
import Transport
import Wire

/// What goes out of a member.
extension MemberSession {
  /// Does what the role's core wants.
  func carryOut(_ directives: [SessionDirective]) {
    for directive in directives {
      recorder?.note(directive)
      switch directive {
      case .send(var message, let destination):
        if case .heartbeat(var beat) = message.body {
          fill(&beat)
          message.body = .heartbeat(beat)
        }
        tracing.sends(message, to: destination)
        send(message, to: destination)
      case .meet(let members): meet(members)
      case .note(let text): log.info(text)
      case .warning(let text): log.warning(text)
      case .asked, .computed, .hopeless, .notFinite, .drained: break
      case .exit(let stop): result = .stop(stop)
      }
    }
  }

  private func send(_ message: Message, to destination: Destination) {
    switch destination {
    case .server: send(message, over: control)
    case .serverBulk: send(message, over: bulk)
    case .member(let node):
      // The core has decided it, whether it can be sent or not.
      guard let parts = encode(message) else { return }
      if let link = routes[node] { return send(parts, over: link) }
      let problem = "no connection to \(node)"
      recorder?.note(.note, text: problem)
      log.warning(problem)
    }
  }

  /// Encodes and sends; what cannot be sent is said in the log.
  func send(_ message: Message, over link: Hub.Link) {
    if let parts = encode(message) { send(parts, over: link) }
  }

  private func send(_ parts: [Frame], over link: Hub.Link) {
    if !hub.send(parts, to: link) {
      log.warning("a message could not be sent: the link is gone or its queue is full")
    }
  }

  /// Encodes a message, and notes it as one that this node sends.
  private func encode(_ message: Message) -> [Frame]? {
    do throws(WireError) {
      let parts = try WireCodec.encode(message)
      recorder?.note(.sent, parts)
      return parts
    } catch {
      log.warning("a message could not be encoded: \(error)")
      return nil
    }
  }

  /// Adds to a heartbeat what the core does not know.
  func fill(_ beat: inout Heartbeat) {
    let now = MonotonicClock.now()
    role?.fill(&beat.telemetry, now: now)
    for line in [memory.look(now), descriptors.look(now)].compactMap(\.self) { log.warning(line) }
    beat.telemetry.bytesSent = hub.bytesSent
    beat.telemetry.bytesReceived = hub.bytesReceived
    beat.telemetry.residentBytes = crosscut_resident_bytes()
    beat.telemetry.droppedMessages += refusals + hub.droppedMessages
    beat.telemetry.largestGapMilliseconds = Double(largestGap) / 1000
    largestGap = 0
  }
}
