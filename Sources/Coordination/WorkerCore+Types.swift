package import Messages
package import Tensors

extension WorkerCore {
  /// What a worker asks of its data loader.
  package enum Own: Sendable {
    /// Have this batch ready soon.
    case prefetch(BatchSpan)
    /// Forget prefetched batches: the share has changed.
    case dropPrefetched
  }

  /// A worker's block of a turn, as the data loader understands it.
  package struct BatchSpan: Hashable, Sendable {
    package let isTraining: Bool
    /// Position in the training stream or index in the evaluation set of the first row.
    package let firstPosition: UInt64
    package let rows: Int
  }

  /// Work for the compute thread, done in the order given.
  package enum Operation: Sendable {
    /// Plan memory for blocks of so many examples each.
    case configure(rows: [Int])
    case load(BatchSpan, block: Int)
    /// Take a stage's parameters from its chunks.
    case install(stage: Int, chunks: [Frame])
    case forward(stage: Int, block: Int)
    /// Cut labels and features into what each FC node gets: `columns[j]` for position j.
    case features(block: Int, columns: [Range<Int>])
    /// Put the FC nodes' gradients of the features together.
    case absorb(block: Int, gradients: [[Frame]], columns: [Range<Int>])
    /// Compute a stage's gradients and add them to those of the blocks before; cut the sum into
    /// chunks after the last block.
    case backward(stage: Int, block: Int, isLast: Bool)
    /// A step is applied by nobody: what rounding has taken from its gradients is not owed.
    case forgetRounding(ofStep: UInt64)
  }

  /// What came of an operation.
  package enum Outcome: Sendable {
    case done
    /// A batch is there, with pictures of it for people to look at.
    case pictures(Pictures, [Frame])
    /// Frames for each FC node: labels, then row blocks.
    case features([[Frame]])
    /// A frame for each chunk of the stage; none before the last block.
    case gradients([Frame])
    case failed(String)
    /// It failed for what others have in common with this worker: the run cannot go on.
    case hopeless(String)
  }
}
