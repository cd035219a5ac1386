import Testing

@testable import Nodes

/// The central theorem: the trajectory depends on the run configuration, never on the cluster's
/// shape.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct TrajectoryTests {
  /// Sums in another order differ in the last bits; 20 steps at this rate amplify them to no more
  /// than this.
  private static let tolerance = 2e-4

  @Test(arguments: [(2, 1), (1, 3), (4, 2), (3, 5), (22, 1)])
  func `any shape follows the trajectory of one worker and one fc node`(
    workers: Int, fcNodes: Int
  ) throws {
    let single = try TinyRun.train(TinyRun.configuration())
    let other = try TinyRun.train(
      TinyRun.configuration(workers: workers, fcNodes: fcNodes))
    #expect(single.losses.count == 20)
    #expect(other.losses.count == 20)
    for (step, (a, b)) in zip(single.losses, other.losses).enumerated() {
      #expect(abs(a - b) <= Self.tolerance * max(1, abs(a)), "step \(step): \(a) and \(b)")
    }
    #expect(single.evaluations.map(\.step) == [8, 16, 20])
    #expect(other.evaluations.map(\.step) == [8, 16, 20])
    for (a, b) in zip(single.evaluations, other.evaluations) {
      #expect(abs(a.loss - b.loss) <= Self.tolerance * max(1, a.loss), "\(a) and \(b)")
    }
    #expect(single.parameters.count == 10)
    for (name, values) in single.parameters {
      let others = try #require(other.parameters[name])
      for (a, b) in zip(values, others) {
        #expect(abs(a - b) <= Float(Self.tolerance), "\(name): \(a) and \(b)")
      }
    }
  }

  @Test(arguments: [(1, 1), (3, 2)])
  func `the same shape twice gives the same bits`(workers: Int, fcNodes: Int) throws {
    let configuration = try TinyRun.configuration(workers: workers, fcNodes: fcNodes)
    let first = try TinyRun.train(configuration)
    let second = try TinyRun.train(configuration)
    #expect(first.losses == second.losses)
    #expect(first.parameters == second.parameters)
  }

  /// Chunks are stepped by the same arithmetic wherever they are.
  @Test(arguments: [2, 3])
  func `any number of parameter servers gives the bits of one`(servers: Int) throws {
    let one = try TinyRun.train(TinyRun.configuration(workers: 2, fcNodes: 2))
    let several = try TinyRun.train(
      TinyRun.configuration(["cluster.serverShards=\(servers)"], workers: 2, fcNodes: 2))
    #expect(one.losses == several.losses)
    #expect(one.parameters == several.parameters)
    #expect(one.parameters.count == 10)
  }

  /// TinyRun's network is too narrow to learn in a few hundred steps (PyTorch's is, too): most of
  /// an image is lost in its six channels. A wider one is sure to.
  @Test func `training learns the synthetic classes`() throws {
    let record = try TinyRun.train(
      TinyRun.configuration(
        [
          "network.layers[0].channels=16", "network.layers[4].channels=24",
          "network.layers[6].units=32", "network.layers[8].rate=0.0", "network.layers[9].units=24",
          "dataset.examples=3000", "dataset.testExamples=500", "globalBatch=44", "steps=400",
          "optimizer.learningRate=0.03", "evaluation.everySteps=null",
        ], workers: 2, fcNodes: 2))
    let first = try #require(record.losses.first)
    let last = try #require(record.evaluations.last)
    #expect(first > 1.3)
    #expect(last.accuracy > 0.85, "accuracy \(last.accuracy), loss \(last.loss)")
  }
}
