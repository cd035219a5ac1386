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
        switch destination {
        case .server: send(message, over: control)
        case .serverBulk: send(message, over: bulk)
        case .member(let node):
          if let link = routes[node] {
            send(message, over: link)
          } else {
            log.warning("no connection to \(node)")
          }
        }
      case .meet(let members): meet(members)
      case .note(let text): log.info(text)
      case .warning(let text): log.warning(text)
      case .asked, .computed, .hopeless, .notFinite, .drained: break
      case .exit(let stop): result = .stop(stop)
      }
    }
  }

  /// Encodes and sends; what cannot be sent is said in the log.
  func send(_ message: Message, over link: Hub.Link) {
    do throws(WireError) {
      let parts = try WireCodec.encode(message)
      recorder?.note(.sent, parts)
      if !hub.send(parts, to: link) {
        log.warning("a message could not be sent: the link is gone or its queue is full")
      }
    } catch {
      log.warning("a message could not be encoded: \(error)")
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
