import Coordination
package import Messages
package import Observability
import Tensors
package import Transport
import Wire

/// Asks a server for its status, and gives it commands; holds one connection, so that asking again is cheap.
///
/// Answers carry no number, so a connection has one open question at most. A status that has not come in
/// time is waited for the next time, not asked for again: a server that was stopped for an hour would
/// have thousands of questions to answer. Any other question is asked over a new connection then.
package final class StatusClient {
  private let context: Context
  private var connection: (hub: Hub, link: Hub.Link)?
  /// When the question was asked that nobody has answered yet.
  private var askedAt: Microseconds?
  /// After so long it may have been lost.
  private static let longestQuestion: Microseconds = 30_000_000
  private let endpoint: String
  private let credentials: Credentials?
  /// How long an answer may take where nothing else is said: with the process's start and end that
  /// makes less than two seconds.
  package static let patienceMilliseconds = 1500
  /// How long it may take where more is wanted than to know whether the server answers: one that is
  /// busy, or whose machine is, is no server that hangs.
  package static let workPatienceMilliseconds = 5000
  private let identity = Header(
    run: 0, view: 0, sender: NodeID(0), incarnation: UInt64.random(in: 1...UInt64.max))

  /// - Parameters:
  ///   - endpoint: the server's address, "tcp://host:5555".
  ///   - credentials: for a server that asks for them.
  package init(context: Context, endpoint: String, credentials: Credentials? = nil) throws {
    self.endpoint = endpoint
    self.credentials = credentials
    self.context = context
    _ = try dialed()
  }

  private func dialed() throws -> (hub: Hub, link: Hub.Link) {
    if let connection { return connection }
    let hub = try Hub(context: context, listen: nil)
    let new = (hub, try hub.dial(endpoint, with: credentials?.dialing))
    connection = new
    return new
  }

  /// Asks once.
  ///
  /// - Parameter interrupt: a descriptor; once it is readable there is something better to do.
  /// - Throws: `NodeError` if nothing, or nothing sensible, answers in time.
  package func status(
    timeoutMilliseconds: Int = patienceMilliseconds, interrupt: Int32? = nil
  ) throws -> StatusRecord {
    try ask(.statusRequest, timeoutMilliseconds, interrupt) { message in
      guard case .statusReply = message.body else { return nil }
      return try StatusRecord.decode(message.frames.flatMap { Array($0.bytes) })
    }
  }

  /// Has the server do something.
  ///
  /// - Returns: what the server says that it does.
  /// - Throws: `NodeError` with the server's reason if it does not, or if nothing answers in time.
  package func command(
    _ command: OperatorCommand, timeoutMilliseconds: Int = workPatienceMilliseconds
  ) throws -> String {
    try ask(.commandRequest(command), timeoutMilliseconds) { message in
      guard case .commandReply(let reply) = message.body else { return nil }
      guard reply.ok else { throw NodeError("the server at \(endpoint): \(reply.text)") }
      return reply.text
    }
  }

  /// Has all nodes note what they do for some turns.
  ///
  /// - Returns: a sentence about it, and the file for Perfetto.
  /// - Throws: `NodeError` with the server's reason if it does not, or if it takes too long.
  package func trace(turns: Int, timeoutMilliseconds: Int) throws -> (text: String, json: [UInt8]) {
    try ask(.commandRequest(.trace(turns: turns)), timeoutMilliseconds) { message in
      guard case .commandReply(let reply) = message.body else { return nil }
      guard reply.ok else { throw NodeError("the server at \(endpoint): \(reply.text)") }
      return (reply.text, message.frames.flatMap { Array($0.bytes) })
    }
  }

  /// The newest lines of a node's log.
  ///
  /// - Parameter number: the lines after this one; 0 for all that are kept.
  /// - Returns: the lines, and the last one's number; the server's reason if it gives none.
  /// - Throws: `NodeError` if nothing answers in time.
  package func log(
    of node: NodeName, after number: UInt64, timeoutMilliseconds: Int = workPatienceMilliseconds
  ) throws -> Result<(text: String, last: UInt64), NodeError> {
    try ask(.logRequest(LogRequest(node: node, after: number)), timeoutMilliseconds) { message in
      guard case .logReply(let reply) = message.body else { return nil }
      guard reply.problem.isEmpty else {
        return .failure(NodeError("the server at \(endpoint): \(reply.problem)"))
      }
      let text = String(decoding: message.frames.flatMap { Array($0.bytes) }, as: UTF8.self)
      return .success((text, reply.last))
    }
  }

  private func ask<Answer>(
    _ body: Body, _ timeoutMilliseconds: Int, _ interrupt: Int32? = nil,
    _ answer: (Message) throws -> Answer?
  ) throws -> Answer {
    let isStatus = if case .statusRequest = body { true } else { false }
    if !isStatus, askedAt != nil { close() }
    let (hub, link) = try dialed()
    do {
      if askedAt == nil {
        askedAt = MonotonicClock.now()
        _ = hub.send(try WireCodec.encode(Message(identity, body)), to: link)
      }
      let result = try wait(hub, link, timeoutMilliseconds, interrupt, answer)
      askedAt = nil
      return result
    } catch {
      // One that is dialed anew is not kept waiting by ZeroMQ's pauses between attempts.
      let isLost = askedAt.map { MonotonicClock.now() - $0 > Self.longestQuestion } ?? true
      if !isStatus || !(error is Overdue) || isLost || !hub.isTaken(link) { close() }
      throw (error as? Overdue)?.error ?? error
    }
  }

  /// There is no answer yet, and may still be one.
  private struct Overdue: Error {
    let error: NodeError
  }

  private func wait<Answer>(
    _ hub: Hub, _ link: Hub.Link, _ timeoutMilliseconds: Int, _ interrupt: Int32?,
    _ answer: (Message) throws -> Answer?
  ) throws -> Answer {
    let deadline = MonotonicClock.now() + UInt64(timeoutMilliseconds) * 1000
    var failure: HandshakeFailure?
    while true {
      let now = MonotonicClock.now()
      guard now < deadline else {
        if let failure {
          throw NodeError(Credentials.explain(failure, at: endpoint, with: credentials))
        }
        if hub.isTaken(link) {
          throw Overdue(
            error: NodeError(
              "somebody at \(endpoint) takes the connection, but does not answer as a crosscut server "
                + "(waited \(timeoutMilliseconds) ms): is the port right, or does the server hang?")
          )
        }
        throw NodeError(
          "no server answers at \(endpoint) (waited \(timeoutMilliseconds) ms): is it running, "
            + "and is the address right?")
      }
      let ready = try hub.wait(
        milliseconds: Int((deadline - now) / 1000) + 1, wakeUp: nil,
        extraDescriptors: interrupt.map { [$0] } ?? [])
      // A hub with events that nobody has taken does not wait: this would spin.
      for event in hub.takeEvents() {
        if case .disconnected = event { throw NodeError("\(endpoint) has hung up") }
        guard case .handshakeFailed(_, let why) = event else { continue }
        failure = why
        // A server that hangs up may start just now; ZeroMQ tries again.
        if case .hungUp = why { continue }
        throw NodeError(Credentials.explain(why, at: endpoint, with: credentials))
      }
      while let (_, parts) = try hub.receive() {
        let message: Message
        do throws(WireError) {
          message = try WireCodec.decode(parts)
        } catch {
          throw NodeError("\(endpoint) answers, but not as this crosscut's server: \(error)")
        }
        if case .refusal(let refusal) = message.body {
          throw NodeError("the server at \(endpoint) refused to answer: \(refusal.reason)")
        }
        if let answer = try answer(message) { return answer }
      }
      guard ready.isEmpty else {
        throw Overdue(error: NodeError("interrupted before \(endpoint) answered"))
      }
    }
  }

  /// Ends the connection; another question dials anew.
  package func close() {
    connection?.hub.close(lingerMilliseconds: 0)
    connection = nil
    askedAt = nil
  }
}
