import Configuration
import Coordination
import Glibc
import Messages
import Observability
import Tensors
import Training
import Transport
import Wire

/// What goes out of the server.
extension ServerNode {
  /// Does what the core wants.
  func carryOut(_ directives: [ServerCore.Directive]) {
    for directive in directives {
      ledger?.note(directive, core)
      switch directive {
      case .send(let original, let node):
        let message = validation.stamped(original, steps: core.committedSteps)
        spans.note(message, from: .server, to: node, isArrival: false, context.plan)
        send(message, to: node)
        if case .refusal(let refusal) = message.body, !refusal.mayJoinAgain { hangUp(on: node) }
      case .welcome(let node, let incarnation): welcome(node, incarnation)
      case .refuse(let incarnation, let reason, let mayJoinAgain):
        let node = core.membership.find(incarnation: incarnation)?.node
        if let link = visitors[incarnation] ?? node.flatMap({ controlLinks[$0] }) {
          refuse(link, reason, mayJoinAgain: mayJoinAgain)
        }
      case .compute(let id, let operation):
        validation.follow(operation)
        monitor.rateReductions = validation.progress.reductions
        recorder?.note(.asked, number: id.value)
        compute.submit(id, operation)
      case .committed(let record):
        monitor.committed(record, core, MonotonicClock.now())
        facts.update(core, monitor)
      case .skipped: break
      case .measured(_, let step, let tally): monitor.measured(step, tally, core)
      case .evaluated(let step, let tally):
        monitor.evaluated(step, tally, core)
        validate(step, tally)
      case .note(let text):
        recorder?.note(.note, text: text)
        log.info(text)
        monitor.event(text)
        facts.remember(text, steps: core.committedSteps)
      case .exit(let stop): result = .stop(stop)
      case .recut(let fcNodes): result = .recut(fcNodes: fcNodes)
      }
    }
    // Not from within: a view may have been among them.
    guard let steps = best else { return }
    best = nil
    handle(.foundBest(steps: steps))
  }

  /// What follows from an evaluation: the learning rate, the best checkpoint, an early end.
  func validate(_ step: UInt64, _ tally: Tally) {
    let (note, stop) = validation.observe(step, tally)
    monitor.rateReductions = validation.progress.reductions
    if let note {
      log.info(note)
      monitor.event(note)
    }
    if validation.progress.sinceBest == 0, validation.progress.lastStep == step,
      context.configuration.checkpoint.keepBest
    {
      writer?.keep(best: step)
      best = step
    }
    // Not from within: other directives of this evaluation are still to be carried out.
    if let stop { _ = commands.post(stop) }
  }

  /// Gives a new member its number and the configuration.
  func welcome(_ node: NodeID, _ incarnation: UInt64) {
    guard let link = visitors[incarnation], let record = core.membership[node] else { return }
    settle(node, at: link)
    let body = Body.welcome(Welcome(node: node, rank: record.name.rank))
    send(Message(identity, body, frames: [configurationText]), over: link)
  }

  /// Sends what the core has decided; noted once, whichever way it takes.
  private func send(_ message: Message, to node: NodeID) {
    guard let parts = encode(message) else { return }
    // Parameters take the bulk connection, once it is known: until a worker's first push they may as
    // well take the other.
    if case .parameters = message.body, let bulk = bulkLinks[node] {
      guard !send(parts, over: bulk, sparing: message.isSpared), hub.queuedBytes(to: bulk) == 0
      else { return }
      // It is closed, whatever was read of it since.
      bulkLinks[node] = nil
    }
    if let link = controlLinks[node] { send(parts, over: link, sparing: message.isSpared) }
  }

  /// Encodes and sends; what cannot be sent is said in the log.
  func send(_ message: Message, over link: Hub.Link) {
    guard let parts = encode(message) else { return }
    send(parts, over: link, sparing: message.isSpared)
  }

  /// - Returns: whether it is on its way.
  @discardableResult
  private func send(_ parts: [Frame], over link: Hub.Link, sparing isSpared: Bool) -> Bool {
    if hub.send(parts, to: link, sparing: isSpared) { return true }
    warn(.unsent, "a message could not be sent: the peer is gone or its queue is full")
    return false
  }

  /// Encodes a message, and notes it as one that the server sends.
  private func encode(_ message: Message) -> [Frame]? {
    do throws(WireError) {
      let parts = try WireCodec.encode(message)
      recorder?.note(.sent, parts)
      return parts
    } catch {
      log.warning("a message could not be encoded: \(error)")
      return nil
    }
  }
}
