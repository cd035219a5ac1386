import Coordination
import Kernels
import Tensors
import Training

/// The neighbour's slice on an FC node, one lane a sub-batch, which takes the same steps as the
/// neighbour's own.
final class FCMirror {
  private let context: RunContext
  private let lanes: [DenseSlice]
  /// Where the parameters are, of all lanes.
  var slice: DenseSlice { lanes[0] }

  init(_ context: RunContext, of rank: Int) {
    self.context = context
    lanes = context.lanes(rank: rank)
  }

  /// Computes the gradients of a turn that is over on the node's own lanes.
  ///
  /// - Parameters:
  ///   - received: the neighbour's factors, by sub-batch.
  ///   - update: steps a slice of weights that step once a sub-batch.
  func step(
    _ own: [DenseSlice], _ received: [[Frame]], update: (DenseSlice, _ subBatch: Int) -> Void
  ) {
    for (index, lane) in lanes.enumerated() {
      lane.takeGradientFactors(received[index], besides: own[index])
      if context.plan.schedule.updatesEachSubBatch {
        lane.computeParameterGradients(
          scale: Float(context.plan.globalBatch) / Float(lane.rows))
        update(slice, index)
      } else {
        lane.computeParameterGradients(accumulate: index > 0)
      }
    }
  }
}
