import Testing

@testable import Coordination

@Suite struct TurnProgramTests {
  /// The run as a loop would do it.
  private static func enumerate(
    totalSteps: UInt64, evaluateEvery: UInt64, evaluationBatches: UInt64
  ) -> [Turn] {
    var turns: [Turn] = []
    var round: UInt64 = 0
    for step in 0..<totalSteps {
      turns.append(.training(step: step))
      let isDue = evaluateEvery > 0 && (step + 1) % evaluateEvery == 0
      guard isDue || step + 1 == totalSteps, evaluationBatches > 0 else { continue }
      for batch in 0..<evaluationBatches {
        turns.append(.evaluation(round: round, batch: batch, step: step + 1))
      }
      round += 1
    }
    return turns
  }

  @Test(arguments: [0, 1, 2, 3, 7, 12] as [UInt64], [0, 1, 2, 3, 5, 6, 12, 40] as [UInt64])
  func `any turn is known without going through those before it`(
    totalSteps: UInt64, evaluateEvery: UInt64
  ) {
    for evaluationBatches: UInt64 in [0, 1, 2, 5] {
      let program = TurnProgram(
        totalSteps: totalSteps, evaluateEvery: evaluateEvery,
        evaluationBatches: evaluationBatches)
      let turns = Self.enumerate(
        totalSteps: totalSteps, evaluateEvery: evaluateEvery,
        evaluationBatches: evaluationBatches)
      let rounds = turns.filter { if case .evaluation(_, 0, _) = $0 { true } else { false } }
      let context = "every \(evaluateEvery), \(evaluationBatches) batches"
      #expect(program.count == UInt64(turns.count), "\(context)")
      #expect(program.evaluations == UInt64(rounds.count), "\(context)")
      guard program.count == UInt64(turns.count) else { continue }
      var steps: UInt64 = 0
      for (index, turn) in turns.enumerated() {
        #expect(program[UInt64(index)] == turn, "turn \(index), \(context)")
        #expect(program.version(at: UInt64(index)) == steps, "turn \(index), \(context)")
        if turn.isTraining { steps += 1 }
      }
      #expect(program.version(at: program.count) == totalSteps)
      #expect(program.version(at: program.count + 9) == totalSteps)
    }
  }

  @Test func `without an interval the evaluation ends the run`() {
    let program = TurnProgram(totalSteps: 3, evaluateEvery: 0, evaluationBatches: 2)
    #expect(
      (0..<program.count).map { program[$0] } == [
        .training(step: 0), .training(step: 1), .training(step: 2),
        .evaluation(round: 0, batch: 0, step: 3), .evaluation(round: 0, batch: 1, step: 3),
      ])
  }

  @Test func `more turns than there are numbers are as many as there are numbers`() {
    let program = TurnProgram(
      totalSteps: 1 << 62, evaluateEvery: 1, evaluationBatches: 1 << 53)
    #expect(program.count == .max)
    #expect(program.turn(afterSteps: 1 << 61) == .max)
    #expect(program.turn(afterSteps: 2) == 2 + 1 << 53)
    #expect(program[1] == .evaluation(round: 0, batch: 0, step: 1))
  }

  @Test func `a run of a billion steps costs nothing`() {
    let program = TurnProgram(
      totalSteps: 1_000_000_000, evaluateEvery: 1000, evaluationBatches: 10)
    #expect(program.count == 1_010_000_000)
    #expect(
      program[program.count - 1] == .evaluation(round: 999_999, batch: 9, step: 1_000_000_000))
  }
}
