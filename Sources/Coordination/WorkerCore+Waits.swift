import Messages
import Network
import Tensors

extension WorkerCore {
  mutating func beat(_ now: Microseconds, _ out: inout [Directive]) {
    beat(now, &out) { [dataset, heldGroups] heartbeat in
      heartbeat.dataset = dataset
      heartbeat.heldGroups = heldGroups
    }
  }

  /// What this worker waits for, and from whom; never nothing.
  var needs: [Need] {
    switch clock.phase {
    case .waitingForView: return [Need(.member(.server), "the next view")]
    case .ending: return [Need(.member(.server), "the end of the run")]
    case .waitingForTurn:
      let isOver = program.map { turn >= $0.count } ?? false
      return [
        Need(.member(.server), isOver ? "the end of the run" : "leave to start turn \(turn)")
      ]
    case .waitingForParameters:
      let name = plan.chunks.stageNames[nextStage]
      if installing[nextStage] != nil {
        return [Need(.own("compute thread"), "taking over the parameters of \(name)")]
      }
      let version = program?.version(at: turn)
      let missing = plan.chunks.ofStage[nextStage].filter { arrived[$0]?.version != version }
      let owners: Set<Int> = missing.isEmpty ? [0] : Set(missing.map { plan.shards.owner[$0] })
      return owners.sorted().map {
        Need(
          .member($0 == 0 ? .server : NodeName(.shard, $0)),
          "parameters of \(name), turn \(turn)")
      }
    case .waitingForFC:
      guard backwardBlock < blocks.count, gradients.indices.contains(backwardBlock) else {
        return [Need(.own("compute thread"), "turn \(turn)")]
      }
      let part = blocks.count > 1 ? ", sub-batch \(blocks[backwardBlock].subBatch)" : ""
      return zip(gate.view?.fcNodes ?? [], gradients[backwardBlock]).compactMap { member, frames in
        frames == nil
          ? Need(.member(member.name), "gradient of the features, turn \(turn)\(part)") : nil
      }
    case .data: return [Need(.own("data loader"), "the batch of turn \(turn)")]
    case .configuring:
      return [
        Need(.own("compute thread"), "memory for \(blocks.reduce(0) { $0 + $1.rows.count }) rows")
      ]
    case .convolutionForward, .convolutionBackward, .compute, .waitingForWorkers,
      .waitingForPeers:
      return [Need(.own("compute thread"), "\(clock.phase.rawValue) of turn \(turn)")]
    }
  }
}
