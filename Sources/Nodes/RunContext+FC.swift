import Configuration
import Coordination
import Kernels
import Messages
import Network
import Tensors
import Training

/// What an FC node's computations are laid out by: its slices, and what it gives to the others.
extension RunContext {
  /// The slices of a rank by sub-batch; the parameters are the first one's, which all use.
  func lanes(rank: Int) -> [DenseSlice] {
    var lanes: [DenseSlice] = []
    for rows in plan.subBatches.ranges {
      let lane = DenseSlice(
        plan: network, cut: cut, rank: rank, rows: rows.count,
        seed: configuration.seed, precision: configuration.precision,
        lender: lanes.first, keepsWorking: plan.schedule.updatesEachSubBatch)
      for (index, row) in rows.enumerated() { lane.positions[index] = UInt32(row) }
      lanes.append(lane)
    }
    return lanes
  }

  // MARK: Exchanges

  /// The loss is exchanged in full: three floats a row.
  func format(ofExchange index: Int) -> NumberFormat {
    index == cut.layers.count ? .fp32 : plan.wire.activations
  }

  /// Bytes of a row of exchange `e` from each rank to `rank`; the last one is the mirror's.
  func exchangeRowBytes(to rank: Int) -> [[Int]] {
    let exchanges = (0..<plan.trainingSegments - 1).map { exchange in
      (0..<cut.nodes).map { peer in
        guard peer != rank else { return 0 }
        return cut.exchangedColumns(exchange, from: peer, to: rank)
          * format(ofExchange: exchange).bytes
      }
    }
    guard plan.mirrorsFC else { return exchanges }
    let neighbour = plan.mirrored(by: rank)
    return exchanges + [
      (0..<cut.nodes).map { peer in
        peer == neighbour ? 4 * cut.mirroredColumns(of: peer) : 0
      }
    ]
  }
}
