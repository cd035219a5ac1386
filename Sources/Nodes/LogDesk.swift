import Coordination
import Messages
import Observability
import Tensors
import Transport

/// Who asked for which member's log: the server passes the question on and the answer back.
struct LogDesk {
  /// Questions under way at most, and for how long each.
  static let limit = 32
  static let patience: Microseconds = 5_000_000

  private struct Question {
    let asker: Hub.Link
    let node: NodeID
    let since: Microseconds
  }

  private var questions: [UInt32: Question] = [:]
  private var lastTicket: UInt32 = 0

  /// Notes a question.
  ///
  /// - Returns: its number; `nil` if too many are under way.
  mutating func open(_ asker: Hub.Link, about node: NodeID, now: Microseconds) -> UInt32? {
    questions = questions.filter { now - min(now, $0.value.since) < Self.patience }
    guard questions.count < Self.limit else { return nil }
    lastTicket = lastTicket == .max ? 1 : lastTicket + 1
    questions[lastTicket] = Question(asker: asker, node: node, since: now)
    return lastTicket
  }

  /// Who asked this; `nil` if nobody asked it, or another node.
  mutating func close(_ ticket: UInt32, answeredBy node: NodeID) -> Hub.Link? {
    guard questions[ticket]?.node == node else { return nil }
    return questions.removeValue(forKey: ticket)?.asker
  }
}

extension Logger {
  /// The answer to a request for this process's log.
  func reply(to request: LogRequest) -> (LogReply, [Frame]) {
    let (text, last) = recent(after: request.after)
    return (
      LogReply(ticket: request.ticket, last: last), text.isEmpty ? [] : [Frame(copying: text)]
    )
  }
}
