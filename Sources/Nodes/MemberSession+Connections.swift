import Coordination
import Glibc
import Messages
import Observability
import Transport

/// What becomes of a member's connections.
extension MemberSession {
  /// Notices what has become of the connections, and a server that is gone for good.
  func watch(_ now: Microseconds) throws {
    for event in hub.takeEvents() {
      switch event {
      case .connected(let link):
        noteConnected(link)
        if link == control {
          serverLostAt = nil
          handshakes.connected()
        }
      case .disconnected(let link):
        connected.remove(link)
        // Its welcome may be here, unread.
        if link == control, serverLostAt == nil {
          serverLostAt = now
          if role != nil { log.warning("lost the connection to the server, trying again") }
        }
      case .peerClosed(let link): forget(link)
      case .handshakeFailed(let link, let failure): try failed(link, failure, now)
      case .tooManyParts(let link):
        broken(link, "a message of more than \(hub.options.mostParts) parts")
      case .strangerRefused(let failure, let address):
        if let line = strangers.note(failure, address: address, now: now) { log.warning(line) }
      default: break
      }
    }
    for line in strangers.overdue(now: now) { log.warning(line) }
    // Who has not joined looks for it as long as `Patience` says.
    if let lost = serverLostAt, role != nil, result == nil,
      now - lost > UInt64(options.serverTimeoutSeconds) * 1_000_000
    {
      result = .joinAgain(
        reason: "the server at \(options.server) has been gone for "
          + "\(options.serverTimeoutSeconds) s")
    }
  }

  /// Says what is wrong with a connection that does not come about, and ends where it never will.
  private func failed(
    _ link: Hub.Link, _ failure: HandshakeFailure, _ now: Microseconds
  ) throws {
    guard link == control else {
      if link != bulk, complained.insert(link).inserted {
        let node = node(over: link)
        log.error("no connection to \(node.map { "\($0)" } ?? "a node"): \(failure)")
      }
      return
    }
    let text = Credentials.explain(
      failure, at: options.server, with: options.security?.credentials)
    switch handshakes.judge(failure, now: now, isKnown: isKnown) {
    case .wait: break
    case .tell: log.warning(text)
    case .giveUp: throw NodeError(text)
    }
  }

  /// Notes by which link somebody speaks. FC nodes dial each other, and each hears the other over the
  /// link that was accepted: whoever was dialed is answered over that, once it is there. It may never
  /// be where only one of the two can reach the other.
  func noteRoute(of header: Header, _ link: Hub.Link) {
    guard header.sender != .server, header.run == identity.run, !closed.contains(link) else {
      return
    }
    accepted[link] = link == dialed[header.sender] ? nil : header.sender
    let isReached = dialed[header.sender].map { connected.contains($0) } ?? false
    guard !isReached, routes[header.sender] != link else { return }
    // What waits for a connection that may never come about goes by the one that is there.
    if let other = dialed[header.sender], routes[header.sender] == other {
      hub.moveQueue(from: other, to: link)
    }
    routes[header.sender] = link
  }

  /// Notes that the connection of somebody who dialed in is closed.
  func forget(_ link: Hub.Link) {
    complained.remove(link)
    echoes.forget(link)
    // No other connection has its id.
    if !closed.contains(link) { closed.append(link) }
    if closed.count > 64 { closed.removeFirst() }
    guard let node = accepted.removeValue(forKey: link), routes[node] == link else { return }
    routes[node] = dialed[node]
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
