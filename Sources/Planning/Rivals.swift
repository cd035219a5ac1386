package import Network
import Tensors

/// What other ways to train the same network on the same machines are expected to take.
package enum Rival: String, Hashable, Sendable, CaseIterable {
  /// Data parallelism of the whole network, gradients summed around a ring (DDP, Horovod).
  case ring = "ring all-reduce"
  /// Data parallelism of the whole network with one parameter server on a machine of its own.
  case parameterServer = "parameter server"

  /// Bytes of the busiest link, each way, in a step of `workers` workers.
  package func bytes(_ plan: NetworkPlan, _ shape: ClusterShape) -> Double {
    let all = Double(plan.parameters.count * shape.wire.gradients)
    let workers = Double(shape.workers)
    switch self {
    case .ring: return 2 * (workers - 1) / workers * all
    case .parameterServer: return workers * all
    }
  }

  /// Seconds of a step.
  ///
  /// The gradients of a layer leave while those before it are computed. The ring is done with both
  /// of its halves then; a server's parameters come back after it, for the next forward pass.
  package func seconds(_ plan: NetworkPlan, _ shape: ClusterShape, _ speeds: Speeds) -> Double {
    let rows = shape.share
    // Everybody computes at the same time.
    let factor = max(1, (shape.sharedCores.map { Double(shape.workers) / $0 } ?? 0))
    let dense = speeds.dense(rows) * factor
    let forward = speeds.forward.reduce(0) { $0 + $1.seconds(rows) } * factor + dense / 3
    let backward = speeds.backward.reduce(0) { $0 + $1.seconds(rows) } * factor + dense * 2 / 3
    let update = Double(plan.parameters.count) * speeds.updatePerValue * factor
    // The last FC layer's gradients are there after a part of the FC layers' backward pass.
    let early = dense / 6
    guard shape.workers > 1, let rate = shape.linkBytesPerSecond else {
      return forward + backward + update
    }
    let travel = bytes(plan, shape) / rate
    let rounds = Double(2 * (shape.workers - 1)) * shape.latencySeconds
    switch self {
    case .ring: return forward + max(backward, early + travel + rounds) + update
    case .parameterServer: return forward + max(backward, early + travel) + travel + update
    }
  }
}
