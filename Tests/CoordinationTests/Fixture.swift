import Messages
import Network
import Tensors

@testable import Coordination

/// A run small enough to follow message by message.
///
/// Two conv stages: "conv1" in chunks 0 (6 values) and 1 (4), "conv2" in chunk 2 (3). Four features,
/// one FC layer. Four examples a step, three steps, an evaluation of six examples after two:
/// the turns are T0 T1 E E T2 E E.
enum Fixture {
  static let facts = DatasetFacts(trainingExamples: 50, evaluationExamples: 6, fingerprint: 9)
  static let run: UInt64 = 77
  static let serverIncarnation: UInt64 = 900

  static func plan(
    workers: Int = 2, fcNodes: Int = 2, globalBatch: Int = 4, steps: UInt64 = 3,
    evaluation: RunPlan.EvaluationRhythm = .everySteps(2), convolutional: Bool = true
  ) -> RunPlan {
    let convolutions = [
      LayerSpec(.convolution(Convolution(channels: 2, kernel: 2))),
      LayerSpec(.convolution(Convolution(channels: 1, kernel: 1))),
    ]
    let dense = LayerSpec(.fullyConnected(FullyConnected(units: 3)))
    let network: NetworkPlan
    do {
      network = try NetworkPlan(
        input: convolutional ? Shape(1, 3, 3) : Shape(1, 2, 2),
        layers: (convolutional ? convolutions : []) + [dense])
    } catch {
      preconditionFailure("\(error)")
    }
    let cut = DenseCut(network, nodes: fcNodes)
    return RunPlan(
      globalBatch: globalBatch, workersWanted: workers, fcNodesWanted: fcNodes,
      chunks: ChunkTable(stages: network.stages, maximumElements: 6),
      featureSlices: cut.featureSlices, trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false), length: .steps(steps),
      evaluation: evaluation)
  }

  /// Workers are nodes 1, 2 ..., FC nodes 11, 12 ..., shard 1 is node 22.
  static func member(_ role: Role, _ rank: Int) -> Member {
    let node = NodeID(UInt32(rank + (role == .fc ? 11 : role == .shard ? 21 : 1)))
    return Member(
      node: node, incarnation: incarnation(of: node), name: NodeName(role, rank),
      endpoint: role == .fc ? "tcp://fc\(rank)" : role == .shard ? "tcp://shard\(rank)" : "")
  }

  static func incarnation(of node: NodeID) -> UInt64 {
    node == .server ? serverIncarnation : UInt64(node.value) * 100
  }

  static func view(
    _ number: UInt32 = 1, resumeTurn: UInt64 = 0, workers: [Int] = [0, 1], fcNodes: [Int] = [0, 1],
    shards: [Int] = [], isFinal: Bool = false, skipped: UInt64 = 0
  ) -> View {
    View(
      number: number, resumeTurn: resumeTurn, workers: workers.map { member(.worker, $0) },
      fcNodes: fcNodes.map { member(.fc, $0) }, shards: shards.map { member(.shard, $0) },
      dataset: facts, isFinal: isFinal, skippedTurns: skipped)
  }

  static func header(_ sender: NodeID, view: UInt32 = 1) -> Header {
    Header(run: run, view: view, sender: sender, incarnation: incarnation(of: sender))
  }

  static func floats(_ count: Int, _ value: Float = 0) -> Frame {
    Frame(copying: Array(repeating: value, count: count))
  }

  static func integers(_ count: Int) -> Frame {
    Frame(copying: Array(repeating: Int32(0), count: count))
  }
}

extension Range<Int> {
  /// "2+3": where it starts and how much there is.
  var brief: String { "\(lowerBound)+\(count)" }
}

/// One line for a message: what a reader of a scenario wants to know of it.
func brief(_ message: Message) -> String {
  switch message.body {
  case .view(let view):
    "view \(view.number)\(view.isFinal ? " (final)" : "") at turn \(view.resumeTurn)"
      + (view.skippedTurns > 0 ? ", \(view.skippedTurns) skipped" : "")
  case .advance(let advance): "advance to \(advance.turn)"
  case .parameters(let parameters):
    "parameters of chunk \(parameters.chunk), version \(parameters.version)"
  case .push(let push):
    push.chunk.map { "push of chunk \($0), turn \(push.turn)" } ?? "done, turn \(push.turn)"
  case .activations(let activations):
    "features \((activations.block.firstRow..<activations.block.firstRow + activations.block.rows).brief)"
      + ", turn \(activations.turn)"
  case .featureGradients(let gradients):
    "gradients \((gradients.block.firstRow..<gradients.block.firstRow + gradients.block.rows).brief)"
      + ", turn \(gradients.turn)"
  case .exchange(let exchange): "exchange \(exchange.index), turn \(exchange.turn)"
  case .report(let report): "report of \(report.examples), turn \(report.turn)"
  case .fault(let fault): "fault of \(fault.culprit) in turn \(fault.turn): \(fault.what)"
  case .slice(let slice): "slice\(slice.isLast ? " (last)" : "")"
  case .collect(let collect):
    "collect \(collect.transfer)\(collect.mirrored ? ", mirrored," : "") at turn \(collect.turn)"
  case .restore(let restore):
    "restore \(restore.transfer) after \(restore.steps) steps\(restore.isInitial ? ", initial" : "")"
  case .leave(let leave): "leave\(leave.endsRun ? ", the run ends" : ""): \(leave.reason)"
  case .stop(let stop): "stop: \(stop.reason)"
  case .applied(let applied): "applied turn \(applied.turn)"
  case .pull: "pull"
  case .heartbeat: "heartbeat"
  case .goodbye: "goodbye"
  default: "\(message.body)"
  }
}
