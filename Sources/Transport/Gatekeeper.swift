import CZeroMQ
import Synchronization
import Tensors

/// Decides who may connect: ZeroMQ's authentication handler (RFC 27, ZAP), one a context.
///
/// Without one ZeroMQ lets any key in. It has a thread of its own, so that a busy socket thread
/// holds up no handshake.
final class Gatekeeper: Sendable {
  /// What each listening socket has said about callers, by the domain ZeroMQ asks for.
  private final class Rules: Sendable {
    let rules = Mutex<[String: @Sendable (Caller) -> String?]>([:])
    let lastDomain = Atomic<UInt64>(0)
  }

  private let rules = Rules()
  private let thread: OwnedThread

  /// Starts to answer; `contextHandle` must not be terminated before this returns.
  init(context: Context) throws(TransportError) {
    let ready = try Mailbox<Result<Void, TransportError>>()
    // The thread may use the handle until ZeroMQ tells it of the context's end; it is joined
    // before the context goes (`Context.terminate`).
    nonisolated(unsafe) let handle = context.handle
    let rules = rules
    thread = try OwnedThread(name: "gatekeeper") {
      do throws(TransportError) {
        var socket = try Socket(.reply, contextHandle: handle)
        try socket.set(ZMQ_LINGER, 0)
        try socket.bind("inproc://zeromq.zap.01")
        ready.post(.success(()))
        Self.answer(&socket, rules)
      } catch {
        ready.post(.failure(error))
      }
    }
    if case .failure(let error)? = ready.take() {
      thread.join()
      throw error
    }
  }

  /// Waits for the thread's end: after the context's.
  func join() { thread.join() }

  /// Takes a listening socket's decisions from `admit` from now on.
  ///
  /// - Returns: the domain by which ZeroMQ is to ask for it.
  func register(_ admit: @escaping @Sendable (Caller) -> String?) -> String {
    let domain = "hub-\(rules.lastDomain.add(1, ordering: .relaxed).newValue)"
    rules.rules.withLock { $0[domain] = admit }
    return domain
  }

  func unregister(_ domain: String) { _ = rules.rules.withLock { $0.removeValue(forKey: domain) } }

  private static func answer(_ socket: inout Socket, _ rules: Rules) {
    while true {
      var item = zmq_pollitem_t(
        socket: socket.handle, fd: -1, events: Int16(ZMQ_POLLIN), revents: 0)
      guard retryingInterrupts({ zmq_poll(&item, 1, -1) }) >= 0 else { return }
      do throws(TransportError) {
        while var part = try socket.receivePart() {
          var parts = [part.frame]
          while part.more, let next = try socket.receivePart() {
            part = next
            parts.append(part.frame)
          }
          reply(to: parts, &socket, rules)
        }
      } catch {
        // The context ends.
        return
      }
    }
  }

  /// Request: version, number, domain, address, routing id, mechanism, credentials. Reply: version,
  /// number, status, its text, user id, metadata.
  private static func reply(to parts: [Frame], _ socket: inout Socket, _ rules: Rules) {
    func text(_ index: Int) -> String {
      index < parts.count ? String(decoding: parts[index].bytes, as: UTF8.self) : ""
    }
    var user: String?
    if parts.count == 7, text(5) == "CURVE", let key = PublicKey(bytes: parts[6].bytes) {
      let admit = rules.rules.withLock { $0[text(2)] }
      // An IPv4 address on a socket for both families: as people write it.
      let address = text(3).hasPrefix("::ffff:") ? String(text(3).dropFirst(7)) : text(3)
      user = admit?(Caller(key: key, address: address))
    }
    // Status 300, "later", would leave the caller without an answer until it loses patience.
    let answer = [
      "1.0", text(1), user == nil ? "400" : "200", user == nil ? "No" : "OK", user ?? "",
    ]
    for word in answer { _ = socket.send(bytes: Array(word.utf8), more: true) }
    _ = socket.send(bytes: [], more: false)
  }
}
