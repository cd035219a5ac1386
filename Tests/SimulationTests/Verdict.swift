import Messages
import Testing

@testable import Coordination

extension SimulatedCluster {
  /// Checks a run that has ended against the run in one loop. Whatever happened: every turn is
  /// committed once and in order over the whole batch, a model that was written holds exactly the
  /// committed steps, everybody has been told the end, and the end is the right one.
  ///
  /// - Parameter scenario: stands in every message, with the seed, so that it can be run again.
  func expectSound(_ scenario: String) {
    let story = "\(scenario)\n" + notes.suffix(25).joined(separator: "\n")
    guard let exit else {
      Issue.record("never ended: \(serverCore.waits(now: now)) \(story)")
      return
    }
    for violation in violations { Issue.record("\(violation) \(story)") }
    let program = plan.program(facts)
    // In order; only the loss of an fc node or shard leads back, to the turn after a checkpoint.
    var next: UInt64 = 0
    for record in commits {
      if record.turn != next {
        let steps = program.version(at: record.turn)
        #expect(
          !holderFaults.isEmpty && record.turn < next, "turn \(record.turn) after \(next) \(story)")
        #expect(record.turn == program.turn(afterSteps: steps), "\(story)")
      }
      next = record.turn + 1
    }
    for record in commits {
      let covered = record.shares.values.joined().joined().sorted()
      #expect(covered == Array(0..<options.globalBatch), "turn \(record.turn) \(story)")
    }
    #expect(audit.findings() == [], "\(story)")
    #expect(audit.steps == program.version(at: serverCore.turn), "\(story)")
    #expect(
      evaluations.allSatisfy { $0.tally.examples == Int(options.evaluationExamples) }, "\(story)")

    let done = serverCore.turn
    let steps = program.version(at: done)
    if let saved = server.saved {
      let reference = model.reference(plan, program, steps: steps)
      #expect(saved.steps == steps, "\(story)")
      #expect(saved.chunks == reference.chunks, "\(story)")
      #expect(saved.weights == reference.weights.map { Optional($0) }, "\(story)")
    }
    expectRightEnd(exit, program, done, story)
    guard !lossy else { return }
    for (id, node) in nodes where id != .server && node.alive {
      #expect(node.exit != nil, "\(id) was not told the end \(story)")
    }
  }

  private func expectRightEnd(
    _ exit: Stop, _ program: TurnProgram, _ done: UInt64, _ story: String
  ) {
    switch exit.outcome {
    case .finished:
      #expect(done == program.count, "\(story)")
      #expect(Set(evaluations.map(\.step)).count == Int(program.evaluations), "\(story)")
      #expect(server.saved != nil, "\(story)")
    case .interrupted:
      #expect(stopRequested, "\(story)")
      // Without all fc nodes and shards there is no whole model to write.
      #expect(
        server.saved != nil || serverCore.view == nil || !holderFaults.isEmpty, "\(story)")
    case .failed:
      // Only an fc node or shard can make a run fail, and the reason names it.
      #expect(holderFaults.contains { exit.reason.contains("\($0)") }, "\(exit) \(story)")
    }
  }
}
