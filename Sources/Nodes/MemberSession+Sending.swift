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
      case .asked, .computed, .hopeless, .drained: break
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

  /// Notes by which link somebody speaks. FC nodes dial each other, and each hears the other over the
  /// link that was accepted: whoever was dialed is answered over that, once it is there. It may never
  /// be where only one of the two can reach the other.
  func noteRoute(of header: Header, _ link: Hub.Link) {
    guard header.sender != .server, header.run == identity.run else { return }
    accepted[link] = link == dialed[header.sender] ? nil : header.sender
    let isReached = dialed[header.sender].map { connected.contains($0) } ?? false
    if !isReached { routes[header.sender] = link }
  }

  /// Notes that a link that was dialed is there.
  func noteConnected(_ link: Hub.Link) {
    guard let node = dialed.first(where: { $0.value == link })?.key else { return }
    connected.insert(link)
    routes[node] = link
  }

  /// Who is at the other end of a link, as far as it has said so.
  func node(over link: Hub.Link) -> NodeID? {
    dialed.first { $0.value == link }?.key ?? accepted[link]
  }

  /// Ends all connections with a node.
  func hangUp(on node: NodeID) {
    routes[node] = nil
    if let link = dialed.removeValue(forKey: node) {
      hub.hangUp(link)
      connected.remove(link)
    }
    for (link, owner) in accepted where owner == node {
      hub.hangUp(link)
      accepted[link] = nil
    }
    endpoints[node] = nil
  }

  /// Dials the FC nodes and shards of a view that are new, hangs up on those that are gone.
  func meet(_ members: [Member]) {
    for (node, _) in endpoints where !members.contains(where: { $0.node == node }) {
      hangUp(on: node)
    }
    for member in members where endpoints[member.node] == nil {
      do throws(TransportError) {
        let link = try hub.dial(member.endpoint)
        dialed[member.node] = link
        routes[member.node] = routes[member.node] ?? link
        endpoints[member.node] = member.endpoint
      } catch {
        log.error("cannot dial \(member.name) at \(member.endpoint): \(error)")
      }
    }
  }
}
