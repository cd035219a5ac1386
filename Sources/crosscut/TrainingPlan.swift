import Configuration
import Coordination
import Messages
import Network
import Observability
import Tensors
import Training

/// What a run will do, for people: `crosscut train --dry-run`.
struct TrainingPlan {
  private let context: RunContext
  private let facts: DatasetFacts
  /// "synthetic" or "idx", and where it is.
  private let source: String
  private let name: String
  private let runDirectory: String

  init(_ context: RunContext, _ data: OpenDataset, runDirectory: String) {
    self.context = context
    self.runDirectory = runDirectory
    facts = data.facts
    let configuration = context.configuration
    name = configuration.network.name ?? "custom"
    source =
      "\(configuration.dataset.kind): \(configuration.dataset.title), normalization"
      + " \(configuration.dataset.normalize.rawValue)"
  }

  /// The whole plan, part by part.
  var text: String {
    [
      NetworkTable(
        name: name, plan: context.network, precision: context.configuration.precision
      ).text,
      section("data", data), section("steps", steps), section("learning rate", rates),
      section("workers", workers), section("fc nodes", fcNodes), section("schedule", schedule),
      section("output", output),
    ].joined(separator: "\n")
  }

  /// Where a run that is resumed goes on from.
  static func beginning(from checkpoint: Checkpoint) -> String {
    let manifest = checkpoint.manifest
    let changes = manifest.rateChanges ?? []
    let scaled = changes.map {
      "  from step \($0.firstStep) on the learning rate is \(Format.significant($0.factor)) times the"
        + " schedule's, as it was set\n"
    }
    return "\nresumed\n  after \(manifest.steps) steps: \(checkpoint.path)\n" + scaled.joined()
  }

  private func section(_ title: String, _ lines: [String]) -> String {
    "\(title)\n" + lines.map { "  \($0)\n" }.joined()
  }

  // MARK: Parts

  private var data: [String] {
    [
      source,
      "\(NetworkTable.grouped(Int(facts.trainingExamples))) training and"
        + " \(NetworkTable.grouped(Int(facts.evaluationExamples))) test examples of"
        + " \(context.network.input), fingerprint \(String(facts.fingerprint, radix: 16))",
      augmentation,
    ]
  }

  private var augmentation: String {
    let augmentation = context.configuration.dataset.augmentation
    var parts = ["\(augmentation.crop.rawValue) crops"]
    if augmentation.padding > 0 { parts.append("padded by \(augmentation.padding)") }
    if augmentation.flip { parts.append("half of them mirrored") }
    if augmentation.colorNoise > 0 {
      parts.append(
        "colour noise \(augmentation.colorNoise) of the \(augmentation.colorNoiseScale.rawValue)")
    }
    return parts.joined(separator: ", ")
  }

  private var schedule: [String] {
    let configuration = context.configuration
    let kind = configuration.schedule.kind
    let update =
      configuration.schedule.fcUpdate == .perSubBatch
      ? "fc weights step once a sub-batch" : "fc weights step once a step"
    let wire = configuration.wire
    let formats = [
      ("activations", wire.activations), ("gradients", wire.gradients),
      ("parameters", wire.parameters),
    ].map { "\($0) \($1.rawValue)" }
    var lines = [
      kind == .gathered
        ? "gathered: the batch goes through the fc nodes as one"
        : "\(kind.rawValue): \(configuration.subBatches) sub-batches; \(update)",
      "on the wire: \(formats.joined(separator: ", "))",
    ]
    if configuration.cluster.fcMirror {
      lines.append("each fc node keeps the next one's slice too")
    }
    return lines
  }

  private var steps: [String] {
    let configuration = context.configuration
    let program = context.plan.program(facts)
    let total = Int(program.totalSteps)
    let perEpoch = Double(facts.trainingExamples) / Double(context.plan.globalBatch)
    var lines = [
      "\(NetworkTable.grouped(total)) steps of \(context.plan.globalBatch) examples,"
        + " \(Numbers.fixed(perEpoch, 1)) an epoch, \(Numbers.fixed(Double(total) / perEpoch, 2))"
        + " epochs; seed \(configuration.seed)"
    ]
    if program.evaluations > 0 {
      let count = program.evaluations
      let batches = program.evaluationBatches
      lines.append(
        "\(count) evaluation\(count == 1 ? "" : "s") of \(batches) batch\(batches == 1 ? "" : "es")"
          + (count > 1 ? ", one every \(program.evaluateEvery) steps" : ", at the end"))
    } else {
      lines.append("no evaluation")
    }
    if let patience = configuration.evaluation.earlyStop {
      lines.append("ends early after \(patience) evaluations without a lower error")
    }
    return lines
  }

  /// The learning rate at the start, the end of the warm-up, the milestones, and every eighth.
  private var rates: [String] {
    let configuration = context.configuration
    let optimizer = configuration.optimizer
    let total = Int(context.plan.totalSteps(facts))
    let decay = optimizer.decay
    var lines = [
      "\(decay.kind.rawValue); momentum \(optimizer.momentum), weight decay"
        + " \(optimizer.weightDecay)\(optimizer.biasWeightDecay ? "" : " (not of biases)"), rule"
        + " \(optimizer.rule.rawValue)"
    ]
    if decay.kind == .plateau {
      lines.append(
        "times \(decay.factor) after \(decay.patience) evaluations without a lower error, at most"
          + " \(decay.reductions) times; below is the rate without that")
    }
    if optimizer.scaling.rule != .none {
      let batches = [false, true].map { configuration.updateBatch(dense: $0) }
      lines.append(
        "\(optimizer.scaling.rule.rawValue) scaling from a batch of"
          + " \(optimizer.scaling.referenceBatch): conv layers step on \(batches[0]), fc layers on"
          + " \(batches[1]) examples")
    }
    if let clip = optimizer.clipValue { lines.append("gradients are cut to +-\(clip)") }
    if total == 0 { return lines }
    lines += rateCourse(total)
    var cells = [["step", "epoch", "conv weights", "fc weights", "conv biases", "fc biases"]]
    let perEpoch = Double(facts.trainingExamples) / Double(context.plan.globalBatch)
    for step in rateSteps(total) {
      let rates = [false, true].map {
        configuration.learningRate(step: step, of: total, dense: $0)
      }
      cells.append(
        [NetworkTable.grouped(step), Numbers.fixed(Double(step) / perEpoch, 2)]
          + (rates + rates.map { $0 * optimizer.biasLearningRateFactor }).map {
            Numbers.scientific($0)
          })
    }
    return lines + TextTable.lines(cells, leftColumns: 0)
  }

  /// Where the rate changes, in steps: epochs are parts of a run of steps.
  private func rateCourse(_ total: Int) -> [String] {
    let decay = context.configuration.optimizer.decay
    let epochs = context.configuration.epochs
    var course: [String] = []
    let warmup = decay.warmup(of: total, epochs: epochs)
    if warmup >= Double(total) {
      course.append("rises to the end of the run, which is shorter than its warm-up")
    } else if warmup > 0 {
      course.append("rises over the first \(NetworkTable.grouped(Int(warmup))) steps")
    }
    let milestones = decay.milestones(of: total, epochs: epochs)
    if decay.kind == .steps, !milestones.isEmpty {
      let steps = milestones.map { NetworkTable.grouped($0) }.joined(separator: ", ")
      course.append("times \(decay.factor) at step\(milestones.count == 1 ? "" : "s") \(steps)")
    }
    return course.isEmpty ? [] : [course.joined(separator: "; ")]
  }

  private func rateSteps(_ total: Int) -> [Int] {
    let decay = context.configuration.optimizer.decay
    let epochs = context.configuration.epochs
    var steps = Set((0..<8).map { Int((Double($0) / 8 * Double(total)).rounded(.up)) })
    if decay.kind == .steps { steps.formUnion(decay.milestones(of: total, epochs: epochs)) }
    steps.formUnion([0, Int(min(decay.warmup(of: total, epochs: epochs), 0x1p62)), total - 1])
    return steps.filter { $0 >= 0 && $0 < total }.sorted()
  }

  private var workers: [String] {
    let count = context.configuration.cluster.workers
    let subBatches = context.plan.subBatches
    let isByGroup = context.plan.schedule.followsHolders
    let shares =
      isByGroup
      ? subBatches.ranges.map { [$0] }
      : (0..<count).map { context.plan.blocks(position: $0, workers: count).map(\.rows) }
    func examples(_ share: [Range<Int>]) -> Int { share.reduce(0) { $0 + $1.count } }
    let stages = context.network.stages
    let bytes = stages.reduce(0) { $0 + $1.parameterCount } * 4
    var lines = shares.enumerated().prefix(8).map { rank, share in
      "\(isByGroup ? "shard group" : "worker") \(rank): \(examples(share)) examples a step, positions "
        + share.map { "\($0.lowerBound) to \($0.upperBound - 1)" }.joined(separator: ", ")
    }
    if shares.count > 8 {
      lines.append(
        "... \(isByGroup ? "shard group" : "worker") \(shares.count - 1): "
          + "\(examples(shares[shares.count - 1])) examples a step")
    }
    if isByGroup {
      lines.append(
        "each group's examples are computed by one of the \(count) workers, one that has its shards"
      )
    }
    let chunks = context.plan.chunks.chunks.count
    let servers = context.plan.shards.count
    return lines + [
      "each a replica of the conv layers: \(NetworkTable.grouped(bytes)) bytes of gradients and of"
        + " parameters a step, in \(chunks) chunk\(chunks == 1 ? "" : "s")"
        + (servers > 1 ? " that \(servers) servers share" : "")
    ]
  }

  private var fcNodes: [String] {
    let cut = context.cut
    var cells = [["layer", "inputs", "outputs", "form", "each node computes"]]
    for layer in cut.layers {
      let region = layer.weightRegion(rank: 0)
      cells.append([
        layer.name, "\(layer.inputs)", "\(layer.outputs)", layer.form.rawValue,
        "\(region.rows.count) outputs of \(region.columns.count) inputs",
      ])
    }
    let slices = (0..<cut.nodes).map { cut.featureSlices[$0].count }
    let widths =
      slices.first == slices.last ? "\(slices[0])" : "\(slices[0]) or \(slices[slices.count - 1])"
    return [
      "\(cut.nodes) node\(cut.nodes == 1 ? "" : "s"), each with \(widths) of the"
        + " \(context.network.features) features"
    ] + TextTable.lines(cells, leftColumns: 5)
  }

  private var checkpoints: String {
    let checkpoint = context.configuration.checkpoint
    var times: [String] = []
    if checkpoint.everySteps > 0 {
      let perEpoch = Double(facts.trainingExamples) / Double(context.plan.globalBatch)
      times.append(
        "every \(checkpoint.everySteps) steps"
          + " (\(Numbers.fixed(Double(checkpoint.everySteps) / perEpoch, 2)) epochs)")
    }
    if checkpoint.everyMinutes > 0 {
      times.append("every \(Numbers.fixed(checkpoint.everyMinutes, 1)) minutes")
    }
    guard !times.isEmpty else { return "no checkpoints before it" }
    return "a checkpoint \(times.joined(separator: " and ")), the newest \(checkpoint.keep) kept"
  }

  private var output: [String] {
    [
      "run directory: \(runDirectory)",
      "model.safetensors at the end; \(checkpoints)",
      "metrics every \(context.configuration.logging.everySteps) steps",
    ]
  }
}
