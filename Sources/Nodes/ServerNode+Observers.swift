import Coordination
import Messages
import Observability
import Tensors
import Transport

extension ServerNode {
  /// Answers with the status; of many who ask at once all get the same.
  func reply(to link: Hub.Link) {
    let now = MonotonicClock.now()
    let frames = status.frames(now) {
      Frame.cut(
        monitor.record(core, refusals: refusals + hub.droppedMessages, now: now).json())
    }
    send(Message(identity, .statusReply, frames: frames), over: link)
  }

  /// Gives the log of a node to who may see it: its own at once, a member's when that has answered.
  func reply(to request: LogRequest, _ link: Hub.Link) {
    func fail(_ why: String) {
      send(Message(identity, .logReply(LogReply(ticket: 0, last: 0, problem: why))), over: link)
    }
    if let objection = objection(to: link) {
      try? hub.noteRefused(link)
      return fail(objection)
    }
    if request.node.role == .server {
      let (reply, frames) = log.reply(to: request)
      send(Message(identity, .logReply(reply), frames: frames), over: link)
      return
    }
    let member = core.membership.records.values.first { $0.name == request.node }
    guard let member, let way = controlLinks[member.node] else {
      return fail("there is no \(request.node)")
    }
    guard let ticket = logDesk.open(link, about: member.node, now: MonotonicClock.now()) else {
      return fail("too many ask for logs: try again")
    }
    var question = request
    question.ticket = ticket
    send(Message(identity, .logRequest(question)), over: way)
  }

  /// What a member says that no core needs to know.
  ///
  /// - Returns: whether it was that.
  func takeAside(_ message: Message) -> Bool {
    switch message.body {
    case .logReply(var reply):
      if let asker = logDesk.close(reply.ticket, answeredBy: message.header.sender) {
        reply.ticket = 0
        send(Message(identity, .logReply(reply), frames: message.frames), over: asker)
      }
    case .traceReport(let report): takeTrace(report, message)
    case .pictures(let pictures): sampleDesk.take(pictures, message.frames)
    case .guesses(let guesses):
      guard let name = core.membership[message.header.sender]?.name, name.role == .fc else {
        return true
      }
      sampleDesk.take(guesses, message.frames, rank: name.rank)
      if let samples = sampleDesk.snapshot(fcNodes: core.view?.fcNodes.count ?? 0) {
        monitor.board.publish(samples)
      }
    default: return false
    }
    return true
  }

  /// Does what an operator asks for, if he may; answers, and writes it into the event log.
  func obey(_ command: OperatorCommand, _ link: Hub.Link) {
    let reply: CommandReply
    if let objection = objection(to: link) {
      reply = CommandReply(text: objection, ok: false)
      try? hub.noteRefused(link)
      warn(.command, "refused an operator's command: \(objection)")
    } else if case .trace(let turns) = command {
      guard let objection = beginTrace(turns: turns, for: link) else { return }
      reply = CommandReply(text: objection, ok: false)
    } else {
      reply = carryOut(command)
      let text = "operator: \(reply.text)"
      log.info(text)
      monitor.event(text, .note)
    }
    send(Message(identity, .commandReply(reply)), over: link)
  }

  /// Why whoever is at the other end may not give commands; `nil` if he may.
  private func objection(to link: Hub.Link) -> String? {
    guard keyDesk != nil else {
      return hub.isLocal(link)
        ? nil
        : "this server has no keys and takes commands and shows logs on its own machine only: call"
          + " it there, or start it with --secure"
    }
    if case .node = standing(link) { return nil }
    return "commands and logs need a node's key: give --key-file FILE"
  }

  /// Does what an operator who may asks for.
  func carryOut(_ command: OperatorCommand) -> CommandReply {
    switch core.state {
    case .gathering, .running, .paused: break
    case .ending, .farewell, .over: return CommandReply(text: "the run is ending", ok: false)
    }
    switch command {
    case .stop(let reason):
      handle(.stop(reason: reason))
      return CommandReply(text: "the run ends: \(reason)", ok: true)
    case .checkpointNow:
      guard writer != nil else {
        return CommandReply(
          text: "no checkpoint: the run has no run directory to put it in", ok: false)
      }
      handle(.checkpointNow)
      return CommandReply(
        text: "a checkpoint follows the next step, after \(core.committedSteps) so far", ok: true)
    case .setLearningRate(let rate): return setRate(rate)
    case .trace: preconditionFailure("a trace is answered when it is there")
    case .drill(let drill, let target): return begin(drill, at: target)
    }
  }

  private func setRate(_ rate: Double) -> CommandReply {
    guard validation.rates.totalSteps > 0 else {
      return CommandReply(
        text: "the learning rate can be set once the length of the run is known, with its first"
          + " worker", ok: false)
    }
    // The step under way goes on as it began, and FC nodes may hear of this while they compute the
    // next: the one after that is the first that is the same everywhere.
    let step = core.committedSteps + Self.notice
    guard step < validation.rates.totalSteps else {
      return CommandReply(text: "no steps are left for another learning rate", ok: false)
    }
    let factor: Double
    do throws(NodeError) {
      factor = try validation.setRate(rate, at: step)
    } catch {
      return CommandReply(text: "\(error)", ok: false)
    }
    let text =
      "learning rate \(rate) from step \(step) on (the schedule times \(Format.significant(factor)))"
      + RateSheet.warning(of: factor)
    do throws(NodeError) {
      try options.runDirectory.map { directory throws(NodeError) in
        try RateFile(in: directory).write(validation.rates.changes)
      }
    } catch {
      // The changes before are still there.
      return CommandReply(
        text:
          "\(text); a server that is started again before the next checkpoint forgets it: \(error)",
        ok: true)
    }
    return CommandReply(text: text, ok: true)
  }

  /// Steps between a change of the learning rate and the first that goes by it.
  private static var notice: UInt64 { 2 }
}
