package import Messages
import Tensors

/// What the server has received for the turn in progress.
struct TurnLedger: Sendable {
  /// Gradients by chunk and worker position; of the server's own chunks.
  var pushes: [[Frame?]]
  /// Chunks handed to the compute thread, and those done.
  var applying: Set<Int> = []
  var applied: Set<Int> = []
  /// Positions of the shards that have stepped all that they own.
  var shards: Set<Int> = []
  /// Positions of the FC nodes that can make their neighbour's step.
  var mirrors: Set<Int> = []
  /// Worker positions that have said they are done (turns without gradients).
  var done: Set<Int> = []
  var tally: Tally?
  let started: Microseconds

  init(chunks: Int, workers: Int, now: Microseconds) {
    pushes = Array(repeating: Array(repeating: nil, count: workers), count: chunks)
    started = now
  }
}

/// A turn's measure, summed over the slices.
package struct Tally: Hashable, Sendable {
  package var examples: Int
  package var lossSum: Double
  package var top1: Int
  package var top5: Int
  package init(examples: Int, lossSum: Double, top1: Int, top5: Int) {
    self.examples = examples
    self.lossSum = lossSum
    self.top1 = top1
    self.top5 = top5
  }

  package static func + (left: Tally, right: Tally) -> Tally {
    Tally(
      examples: left.examples + right.examples, lossSum: left.lossSum + right.lossSum,
      top1: left.top1 + right.top1, top5: left.top5 + right.top5)
  }
}

/// One line of the audit trail: a turn was applied, in which view, by whose shares.
package struct CommitRecord: Hashable, Sendable {
  package let turn: UInt64
  package let kind: Turn
  package let view: UInt32
  /// Rows of the global batch by worker, one range a sub-batch that it has a part of.
  package let shares: [NodeID: [Range<Int>]]

  package init(turn: UInt64, kind: Turn, view: UInt32, shares: [NodeID: [Range<Int>]]) {
    self.turn = turn
    self.kind = kind
    self.view = view
    self.shares = shares
  }
}
