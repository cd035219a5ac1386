import Coordination
import Messages
package import Observability
import Tensors
package import Transport
import Wire

/// Asks a server for its status; holds one connection, so that asking again is cheap.
package final class StatusClient {
  private let hub: Hub
  private let link: Hub.Link
  private let endpoint: String
  private let identity = Header(
    run: 0, view: 0, sender: NodeID(0), incarnation: UInt64.random(in: 1...UInt64.max))

  /// - Parameter endpoint: the server's address, "tcp://host:5555".
  package init(context: Context, endpoint: String) throws {
    self.endpoint = endpoint
    hub = try Hub(context: context, listen: nil)
    link = try hub.dial(endpoint)
  }

  /// Asks once.
  ///
  /// - Throws: `NodeError` if nothing, or nothing sensible, answers in time.
  package func status(timeoutMilliseconds: Int = 2500) throws -> StatusRecord {
    _ = hub.send(try WireCodec.encode(Message(identity, .statusRequest)), to: link)
    let deadline = MonotonicClock.now() + UInt64(timeoutMilliseconds) * 1000
    while true {
      let now = MonotonicClock.now()
      guard now < deadline else {
        throw NodeError(
          "no server answers at \(endpoint) (waited \(timeoutMilliseconds) ms): is it running, "
            + "and is the address right?")
      }
      _ = try hub.wait(milliseconds: Int((deadline - now) / 1000) + 1, wakeUp: nil)
      // A hub with events that nobody has taken does not wait: this would spin.
      _ = hub.takeEvents()
      while let (_, parts) = try hub.receive() {
        let message: Message
        do throws(WireError) {
          message = try WireCodec.decode(parts)
        } catch {
          throw NodeError("\(endpoint) answers, but not as this crosscut's server: \(error)")
        }
        switch message.body {
        case .statusReply:
          return try StatusRecord.decode(message.frames.flatMap { Array($0.bytes) })
        case .refusal(let refusal):
          throw NodeError("the server at \(endpoint) refused to answer: \(refusal.reason)")
        default: continue
        }
      }
    }
  }

  package func close() { hub.close(lingerMilliseconds: 0) }
}
