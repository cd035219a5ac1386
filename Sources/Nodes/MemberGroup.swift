import Coordination
import Glibc
package import Messages
package import Observability
package import Transport

/// Several members of one cluster in one process: a worker with an FC node beside it, as each of the
/// K devices of the 2014 paper.
///
/// Each member is to the server what it would be in a process of its own, with a socket thread and a
/// compute thread. They are told to go together, and when one is over the others follow it, since
/// what starts processes again starts all of them.
package struct MemberGroup {
  /// How one of them is started, and its log.
  package struct Part: Sendable {
    package let options: MemberOptions
    package let log: Logger

    package init(options: MemberOptions, log: Logger) {
      self.options = options
      self.log = log
    }
  }

  /// How long the members have to end by themselves once one is over: they all hear the same last
  /// word.
  private static let patience: Microseconds = 2_000_000

  /// Runs all parts to their ends.
  ///
  /// - Parameter signals: each goes to every part; made before any thread.
  /// - Returns: how the run ended, or the worst of it.
  /// - Throws: what the first part that failed throws.
  package static func runToEnd(
    context: Context, parts: [Part], signals: Signals
  ) throws -> Stop {
    precondition(!parts.isEmpty, "a group of nobody")
    let ends = try Mailbox<(part: Int, result: Result<Stop, NodeError>)>()
    let orders = try parts.map { _ in try Mailbox<String>() }
    var threads: [OwnedThread] = []
    defer { for thread in threads { thread.join() } }
    for (index, part) in parts.enumerated() {
      let order = orders[index]
      do {
        threads.append(
          try OwnedThread(name: part.options.role.rawValue) {
            let result: Result<Stop, NodeError>
            do {
              result = .success(
                try MemberSession.runToEnd(
                  context: context, options: part.options, log: part.log, orders: order))
            } catch {
              result = .failure(error as? NodeError ?? NodeError("\(error)"))
            }
            _ = ends.post((index, result))
          })
      } catch {
        for order in orders { order.post("the process cannot start all of its parts") }
        throw error
      }
    }
    return try wait(for: parts, ends, orders, signals)
  }

  private static func wait(
    for parts: [Part], _ ends: Mailbox<(part: Int, result: Result<Stop, NodeError>)>,
    _ orders: [Mailbox<String>], _ signals: Signals
  ) throws -> Stop {
    var results: [Int: Result<Stop, NodeError>] = [:]
    var firstEnd: (part: Int, at: Microseconds)?
    // Told twice they go at once: what the process's end makes them do must not be the second time.
    var othersKnow = false
    var heard: [Microseconds] = []
    while results.count < parts.count {
      var items = [signals.descriptor, ends.wakeUp.descriptor].map {
        pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
      }
      poll(&items, nfds_t(items.count), 100)
      while let number = signals.next() {
        let now = MonotonicClock.now()
        if let last = heard.last,
          number == SIGHUP || number == Signals.orderly || now <= last + Signals.echo
        {
          continue
        }
        heard.append(now)
        othersKnow = true
        // The second time each ends as soon as its threads do; these may be at a disk that does not
        // answer.
        if heard.count > 2 { endAtOnce(Signals.name(number), parts) }
        for order in orders { order.post(Signals.name(number)) }
      }
      for (part, result) in ends.drain() {
        results[part] = result
        if firstEnd == nil { firstEnd = (part, MonotonicClock.now()) }
      }
      if let (part, at) = firstEnd, !othersKnow, MonotonicClock.now() - at > patience {
        othersKnow = true
        let reason = "the \(parts[part].options.role.rawValue) of its process is over"
        for index in parts.indices where results[index] == nil { orders[index].post(reason) }
      }
    }
    return try outcome(parts, results)
  }

  private static func endAtOnce(_ signal: String, _ parts: [Part]) -> Never {
    parts[0].log.error("\(signal) again: ended at once")
    _exit(1)
  }

  private static func outcome(
    _ parts: [Part], _ results: [Int: Result<Stop, NodeError>]
  ) throws -> Stop {
    let stops = try parts.indices.compactMap { try results[$0]?.get() }
    return stops.first { $0.outcome == .failed } ?? stops[0]
  }
}
