import Messages
import Tensors
import Testing

@testable import Coordination

@Suite struct RunPlanTests {
  @Test(arguments: [(1, 4), (2, 4), (3, 4), (4, 4), (6, 4), (3, 128), (7, 100)])
  func `shares cover the batch in order and differ by one row at most`(
    workers: Int, globalBatch: Int
  ) {
    let plan = Fixture.plan(globalBatch: globalBatch)
    let shares = (0..<workers).map {
      plan.blocks(position: $0, workers: workers).first?.rows ?? 0..<0
    }
    #expect(shares.flatMap { Array($0) } == Array(0..<globalBatch))
    let sizes = shares.map(\.count)
    #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
  }

  @Test(arguments: [(1, 2), (2, 2), (3, 2), (3, 5), (7, 4), (2, 9)], [false, true])
  func `blocks cover every sub-batch once, whoever has them`(
    shape: (workers: Int, subBatches: Int), dealsWhole: Bool
  ) {
    var plan = Fixture.plan(globalBatch: 9)
    plan.schedule = Schedule(subBatches: shape.subBatches, dealsWhole: dealsWhole)
    let blocks = (0..<shape.workers).map { plan.blocks(position: $0, workers: shape.workers) }
    #expect(blocks.joined().allSatisfy { !$0.rows.isEmpty })
    for subBatch in 0..<shape.subBatches {
      let senders = plan.senders(of: subBatch, workers: shape.workers)
      let rows = senders.compactMap { $0 }
      #expect(rows.flatMap { Array($0) } == Array(plan.subBatches[subBatch]))
      if dealsWhole { #expect(rows.count == 1) }
      for (worker, rows) in senders.enumerated() {
        #expect(blocks[worker].first { $0.subBatch == subBatch }?.rows == rows)
      }
    }
  }

  @Test(arguments: [
    // An epoch is a place in an endless stream: a batch may reach into the next.
    (1.0, 50, 4, 13), (2.0, 50, 4, 25), (3.0, 599, 100, 18), (1.0, 128, 128, 1),
    (0.5, 50, 4, 7), (0.0, 50, 4, 0), (10.0, 60_000, 128, 4688),
  ])
  func `epochs become steps, rounded up`(
    epochs: Double, examples: Int, globalBatch: Int, steps: Int
  ) {
    var plan = Fixture.plan(globalBatch: globalBatch)
    plan.length = .epochs(epochs)
    var facts = Fixture.facts
    facts.trainingExamples = UInt64(examples)
    #expect(plan.totalSteps(facts) == UInt64(steps))
  }

  @Test func `absurd facts from another process do not trap`() {
    var plan = Fixture.plan()
    plan.length = .epochs(1e6)
    var facts = Fixture.facts
    facts.trainingExamples = .max
    #expect(plan.totalSteps(facts) == 1 << 62)
  }

  @Test func `steps are taken as they are`() {
    #expect(Fixture.plan(steps: 17).totalSteps(Fixture.facts) == 17)
  }

  @Test(arguments: [
    (RunPlan.EvaluationRhythm.never, 3, []), (.atEnd, 5, [3]), (.everySteps(2), 7, [2, 3]),
    (.everySteps(1), 9, [1, 2, 3]), (.everySteps(100), 5, [3]),
    // An epoch of 50 examples is 13 steps of 4.
    (.everyEpochs(1), 5, [3]),
  ])
  func `evaluations come when they are wanted`(
    rhythm: RunPlan.EvaluationRhythm, turns: Int, after: [UInt64]
  ) {
    let program = Fixture.plan(evaluation: rhythm).program(Fixture.facts)
    #expect(program.count == UInt64(turns))
    let steps = (0..<program.count).compactMap { index -> UInt64? in
      if case .evaluation(_, 0, let step) = program[index] { step } else { nil }
    }
    #expect(steps == after)
  }

  @Test func `an evaluation every epoch falls on whole steps`() {
    let program = Fixture.plan(steps: 40, evaluation: .everyEpochs(1)).program(Fixture.facts)
    #expect(program.evaluateEvery == 13)
  }

  @Test(arguments: [(1, [1]), (4, [4]), (5, [4, 1]), (6, [4, 2]), (8, [4, 4])])
  func `the last batch of an evaluation holds what is left`(examples: Int, expected: [Int]) {
    let plan = Fixture.plan(steps: 1, evaluation: .atEnd)
    var facts = Fixture.facts
    facts.evaluationExamples = UInt64(examples)
    let program = plan.program(facts)
    let turns = (1..<program.count).map { program[$0] }
    #expect(turns.map { plan.examples(of: $0, facts) } == expected)
    #expect(turns.map(plan.firstPosition) == [0, 4].prefix(expected.count).map { UInt64($0) })
    #expect(plan.examples(of: program[0], facts) == 4)
  }

  @Test func `no evaluation examples, no evaluation`() {
    var facts = Fixture.facts
    facts.evaluationExamples = 0
    #expect(Fixture.plan().program(facts).count == 3)
  }

  @Test func `training goes on through the stream`() {
    let plan = Fixture.plan()
    #expect(plan.firstPosition(of: .training(step: 20)) == 80)
  }
}
