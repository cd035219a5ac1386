import Coordination
import Messages
import Network
import Tensors

extension Body {
  /// What a trace calls a message; the same at both ends. `nil` for those that belong to no turn.
  func traceLabel(_ plan: RunPlan) -> String? {
    func chunk(_ index: Int) -> String {
      plan.chunks.chunks.indices.contains(index) ? plan.chunks.name(of: index) : "chunk \(index)"
    }
    func part(_ index: Int) -> String { plan.subBatches.parts > 1 ? ", sub-batch \(index)" : "" }
    switch self {
    case .push(let push):
      return push.chunk.map { "gradient of \(chunk($0)), turn \(push.turn)" }
    case .parameters(let parameters):
      return "\(chunk(parameters.chunk)) after \(parameters.version) steps"
    case .activations(let activations):
      return "features of turn \(activations.turn)\(part(activations.subBatch))"
    case .featureGradients(let gradients):
      return "feature gradients of turn \(gradients.turn)\(part(gradients.subBatch))"
    case .exchange(let exchange):
      return "exchange \(exchange.index) of turn \(exchange.turn)\(part(exchange.subBatch))"
    case .report(let report): return "report of turn \(report.turn)"
    case .advance(let advance): return "turn \(advance.turn) begins"
    default: return nil
    }
  }
}

extension WorkerCore.Operation {
  /// What a trace calls it.
  func traceLabel(_ plan: RunPlan) -> String {
    func stage(_ index: Int) -> String { plan.chunks.stageNames[index] }
    switch self {
    case .configure: return "plan memory"
    case .load: return "load"
    case .install(let index, _): return "\(stage(index)) parameters"
    case .forward(let index, _): return "\(stage(index)) forward"
    case .features: return "cut features"
    case .absorb: return "join feature gradients"
    case .backward(let index, _, _): return "\(stage(index)) backward"
    case .forgetRounding(let step): return "forget the rounding of step \(step)"
    }
  }
}

extension FCCore.Operation {
  /// What a trace calls it.
  func traceLabel(_ plan: RunPlan) -> String {
    func part(_ index: Int) -> String { plan.subBatches.parts > 1 ? ", sub-batch \(index)" : "" }
    switch self {
    case .start(_, let subBatch, _): return "segment 0\(part(subBatch))"
    case .segment(let index, let subBatch, _, _, _, _): return "segment \(index)\(part(subBatch))"
    case .gradients: return "weight gradients"
    case .stepSubBatch(_, let subBatch): return "update\(part(subBatch))"
    case .mirror: return "the mirror's gradients"
    case .apply: return "update"
    case .collect, .collectNext: return "hand out slices"
    case .redraw: return "draw initial values"
    case .place: return "place a slice"
    }
  }
}

extension ShardCore.Operation {
  /// What a trace calls it.
  func traceLabel(_ plan: RunPlan) -> String {
    switch self {
    case .apply(let chunk, _, _): "update \(plan.chunks.name(of: chunk))"
    case .commit: "commit"
    case .snapshot: "copy parameters"
    case .collect: "hand out chunks"
    case .redraw: "draw initial values"
    case .place: "place a chunk"
    }
  }
}

extension ServerCore.Operation {
  /// What a trace calls it.
  func traceLabel(_ plan: RunPlan) -> String {
    switch self {
    case .apply(let chunk, _, _): "update \(plan.chunks.name(of: chunk))"
    case .commit: "commit"
    case .snapshot: "copy parameters"
    case .tally: "count ranks"
    case .beginCheckpoint, .finishCheckpoint: "checkpoint"
    case .store: "store a slice"
    case .rollBack, .cut: "go back"
    case .save: "save the model"
    }
  }
}
