import Testing
import Training

/// Ten steps of SGD as PyTorch does them, by one process and by a cluster.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct TenStepsTests {
  @Test(arguments: ["pytorch", "paper-2012"])
  func `a single process does the steps of PyTorch`(rule: String) throws {
    let golden = try TenSteps(rule)
    try golden.expectPyTorch(golden.trainInOneProcess())
  }

  @Test(arguments: ["pytorch", "paper-2012"], [(1, 1), (2, 2), (3, 4)])
  func `a cluster does the steps of PyTorch`(rule: String, shape: (Int, Int)) throws {
    let golden = try TenSteps(rule)
    try golden.expectPyTorch(golden.train(workers: shape.0, fcNodes: shape.1))
  }
}
