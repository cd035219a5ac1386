import Messages
import Tensors

@testable import Coordination

extension SimulatedNode {
  /// The neighbour's weights on an FC node. In the toy model the own factor of a slice's gradient
  /// are its features, the common one the logits.
  struct Mirror {
    let columns: Range<Int>
    private(set) var weights: [Int32]
    /// What the turn under way has made of them, where they step once a sub-batch; else its gradient.
    private var next: [Int32]

    init(_ columns: Range<Int>, _ model: ToyModel) {
      self.columns = columns
      weights = columns.map(model.initialWeight)
      next = weights
    }

    mutating func step(_ next: [Int32]) { self.next = next }
    mutating func apply(_ model: ToyModel, _ plan: RunPlan, rate: Int32) {
      weights =
        plan.schedule.updatesEachSubBatch
        ? next : zip(weights, next).map { model.step($0, $1, rate: rate) }
    }
    mutating func place(_ value: Int32, _ column: Int) {
      weights[column - columns.lowerBound] = value
    }
  }

  /// Columns that an FC node holds, mirrored ones included.
  func heldColumns(by rank: Int) -> [Int] {
    Array(plan.featureSlices[rank])
      + (plan.mirrorsFC ? Array(plan.featureSlices[plan.mirrored(by: rank)]) : [])
  }

  /// What the node that mirrors this one is owed, by rank.
  func forMirror(_ features: [[Int32]]) -> [[Frame]] {
    Array(repeating: [frame(features.flatMap { $0 })], count: plan.fcNodesWanted)
  }

  /// The neighbour's step, of its features and the logits that all have.
  func mirrorStep(_ received: [[Frame]], rate: Int32) {
    guard let mirror else { return }
    let width = mirror.columns.count
    let features = received.map { matrix(values($0), columns: width) }
    func gradient(_ column: Int, _ lane: Int) -> Int32 {
      model.weightGradient(features[lane], logits[lane] ?? [], column: column)
    }
    var next = mirror.weights
    if plan.schedule.updatesEachSubBatch {
      for lane in features.indices {
        next = next.indices.map { model.step(next[$0], gradient($0, lane), rate: rate) }
      }
    } else {
      next = next.indices.map { column in
        features.indices.reduce(0) { $0 &+ gradient(column, $1) }
      }
    }
    self.mirror?.step(next)
  }
}
