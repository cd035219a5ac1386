import Coordination
import Messages
import Observability
import Tensors
import Transport

extension ServerNode {
  /// Has everybody note what they do; whoever asked is answered when all have handed that in.
  ///
  /// - Returns: why it cannot be; `nil` if it has begun.
  func beginTrace(turns: Int, for asker: Hub.Link) -> String? {
    guard trace == nil else { return "a trace is being made already" }
    guard core.state == .running, let view = core.view else {
      return "there is nothing to see: the run does not train just now"
    }
    let members = view.workers + view.fcNodes + view.shards
    let begun = TraceCollection(
      turns: turns, for: asker, of: members, now: MonotonicClock.now())
    trace = begun
    spans.begin()
    for member in members {
      if let link = controlLinks[member.node] {
        send(Message(identity, .traceRequest(begun.request)), over: link)
      }
    }
    return nil
  }

  /// Takes a member's part.
  func takeTrace(_ report: TraceReport, _ message: Message) {
    let node = message.header.sender
    trace?.take(
      report, message.frames, from: node,
      sharesClock: core.membership[node]?.join.host == Host.name, now: MonotonicClock.now())
  }

  /// Answers whoever asked once everything is there.
  func finishTraceIfComplete() {
    guard var done = trace else { return }
    done.forget { core.membership[$0] != nil }
    trace = done
    guard done.isComplete(now: MonotonicClock.now()) else { return }
    trace = nil
    let (text, json) = done.finish(server: spans.end())
    log.info("trace: \(text)")
    let reply = CommandReply(text: text, ok: true)
    send(Message(identity, .commandReply(reply), frames: Frame.cut(json)), over: done.asker)
  }
}
