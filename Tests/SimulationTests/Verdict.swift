import Messages
import Testing

@testable import Coordination

extension SimulatedCluster {
  /// Checks a run that has ended, and records what is wrong with it.
  ///
  /// - Parameter scenario: stands in every message, with the seed, so that it can be run again.
  func expectSound(_ scenario: String) {
    for problem in problems { Issue.record("\(problem) \(scenario)\n\(story)") }
  }

  private var story: String { notes.suffix(25).joined(separator: "\n") }

  /// Everything that is wrong with a run that has ended, against the run in one loop. Whatever
  /// happened: every turn is committed once and in order over the whole batch, a model that was
  /// written holds exactly the committed steps, everybody has been told the end, and the end is the
  /// right one.
  var problems: [String] {
    guard let exit else {
      return violations + ["never ended: \(serverCore.waits(now: now)), \(serverCore.state)"]
    }
    var found = violations
    func expect(_ isRight: Bool, _ what: @autoclosure () -> String) {
      if !isRight { found.append(what()) }
    }
    let program = plan.program(facts)
    // In order; only what is lost with a node, the server's death and a number that is not finite
    // lead back, to the turn after a checkpoint.
    var next: UInt64 = 0
    // A server that dies on its way back finds on its disk what was written before it went back.
    var furthest: UInt64 = 0
    for record in commits {
      while record.turn != next, skippedTurns.contains(next) { next += 1 }
      if record.turn != next {
        let steps = program.version(at: record.turn)
        expect(goingsBack > 0 && record.turn <= furthest, "turn \(record.turn) after \(next)")
        expect(
          record.turn == program.turn(afterSteps: steps),
          "back to turn \(record.turn) of step \(steps)")
      }
      next = record.turn + 1
      furthest = max(furthest, next)
    }
    let findings = audit.findings()
    expect(findings == [], "the audit finds: \(findings)")
    let steps = program.version(at: serverCore.turn)
    // A server that ends before anybody has come back knows of no turn.
    expect(
      serverCore.program == nil || audit.steps == steps,
      "\(audit.steps) steps in the ledger, \(steps) at the server")
    expect(
      evaluations.allSatisfy { $0.tally.examples == Int(options.evaluationExamples) },
      "an evaluation of other examples: \(evaluations)")
    if let saved = server.saved {
      let reference = model.reference(
        plan, program, rateChanges, steps: steps, skipped: audit.skipped)
      expect(saved.steps == steps, "a model of \(saved.steps) steps after \(steps)")
      expect(saved.chunks == reference.chunks, "the conv parameters are others")
      expect(
        saved.weights == reference.weights.map { Optional($0) }, "the fc parameters are others")
    }
    found += wrongEnd(exit, program)
    guard !lossy else { return found }
    for (id, node) in nodes.sorted(by: { $0.key < $1.key }) where id != .server && node.alive {
      expect(node.exit != nil, "\(id) was not told the end")
    }
    return found
  }

  private func wrongEnd(_ exit: Stop, _ program: TurnProgram) -> [String] {
    func unless(_ isRight: Bool) -> [String] { isRight ? [] : ["the end is wrong: \(exit)"] }
    switch exit.outcome {
    case .finished:
      return unless(
        serverCore.turn == program.count && server.saved != nil
          && Set(evaluations.map(\.step)).count == Int(program.evaluations))
    case .interrupted:
      // Without all fc nodes and shards, or on the way back to a checkpoint, there is no whole model
      // to write.
      return unless(
        stopRequested
          && (server.saved != nil || serverCore.view == nil || !holderFaults.isEmpty
            || goingsBack > 0)
      )
    case .failed where exit.reason.contains("is not applied"):
      // What was good before the step is kept.
      return unless(
        !options.poison.isEmpty && options.onFault != .skip
          && (server.saved != nil || !holderFaults.isEmpty))
    case .failed:
      // Only an fc node or shard can make a run fail, and the reason names it.
      return unless(holderFaults.contains { exit.reason.contains("\($0)") })
    }
  }
}
