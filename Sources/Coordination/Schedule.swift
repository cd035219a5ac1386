package import Tensors

/// How a step is cut into sub-batches (2014 paper, section 4).
///
/// A sub-batch is a contiguous part of the global batch, whatever the number of workers: so the
/// trajectory does not depend on who computes what, even where the FC weights step once a
/// sub-batch.
package struct Schedule: Hashable, Sendable {
  /// P: 1 is the paper's scheme (a), `gathered`.
  package var subBatches = 1
  /// Who has the rows of a sub-batch: all workers a part of each (scheme (c), `scattered`), or
  /// whole sub-batches one worker each (scheme (b), `round-robin`).
  package var dealsWhole = false
  /// Whether the FC weights step after every sub-batch, which must then wait for each other, or
  /// once a step.
  package var updatesEachSubBatch = false
  /// Whether each sub-batch is drawn from the shard group of its number, so that only a worker
  /// that has the group can compute it: the view says which one does.
  package var followsHolders = false

  package init(
    subBatches: Int = 1, dealsWhole: Bool = false, updatesEachSubBatch: Bool = false,
    followsHolders: Bool = false
  ) {
    self.subBatches = subBatches
    self.dealsWhole = dealsWhole
    self.updatesEachSubBatch = updatesEachSubBatch
    self.followsHolders = followsHolders
  }
}

/// The rows of a sub-batch that one worker computes.
package struct Block: Hashable, Sendable {
  package let subBatch: Int
  /// Of the global batch.
  package let rows: Range<Int>
}

extension RunPlan {
  /// The sub-batches as rows of the global batch; all of them hold at least one.
  package var subBatches: Partition {
    Partition(count: globalBatch, parts: min(schedule.subBatches, globalBatch))
  }

  /// What the worker at `position` of `workers` computes, in the order of the sub-batches: no
  /// empty block.
  ///
  /// - Parameter holders: the view's, where the schedule follows them.
  package func blocks(position: Int, workers: Int, holders: [Int] = []) -> [Block] {
    let subBatches = subBatches
    if schedule.followsHolders {
      return zip(0..<subBatches.parts, holders).filter { $1 == position }.map { group, _ in
        Block(subBatch: group, rows: subBatches[group])
      }
    }
    if schedule.dealsWhole {
      return Partition(count: subBatches.parts, parts: workers)[position].map {
        Block(subBatch: $0, rows: subBatches[$0])
      }
    }
    return (0..<subBatches.parts).compactMap { index in
      let first = subBatches[index].lowerBound
      let part = Partition(count: subBatches[index].count, parts: workers)[position]
      guard !part.isEmpty else { return nil }
      return Block(subBatch: index, rows: first + part.lowerBound..<first + part.upperBound)
    }
  }

  /// The rows of a sub-batch that each of `workers` workers sends, by position; `nil` for none.
  package func senders(of subBatch: Int, workers: Int, holders: [Int] = []) -> [Range<Int>?] {
    (0..<workers).map { position in
      blocks(position: position, workers: workers, holders: holders)
        .first { $0.subBatch == subBatch }?.rows
    }
  }
}
