import Coordination
import Messages
import Network
import Training

/// A server shard's computations: its chunks of the convolutional parameters.
final class ShardCompute: Performer {
  private let chunks: ChunkStore

  init(
    context: RunContext, rank: Int, probe: (any StepProbe)?, rates: RateSheet
  ) throws(TrainingError) {
    chunks = ChunkStore(
      context: context, shard: rank, probe: probe, rates: rates)
    try context.inputs.parameters.check(against: context.network.parameters)
    try chunks.setInitialValues()
  }

  func close() {}

  func perform(_ operation: ShardCore.Operation) -> ShardCore.Outcome {
    switch operation {
    case .apply(let chunk, let gradients, let step):
      switch chunks.apply(chunk, gradients, step) {
      case .applied(let frame): return .applied(frame)
      case .notFinite(let worker, let what): return .notFinite(worker: worker, what: what)
      }
    case .commit:
      chunks.commit()
      return .done
    case .snapshot: return .snapshot(chunks.snapshot())
    case .collect(let transfer): return .slices(chunks.collect(transfer))
    case .redraw:
      do throws(TrainingError) {
        try chunks.setInitialValues()
        return .done
      } catch {
        return .failed("\(error)")
      }
    case .place(let slice, let frames):
      return chunks.place(slice, frames).map { .failed($0) } ?? .done
    }
  }
}
