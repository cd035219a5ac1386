import Messages
import Network
import Tensors

@testable import Coordination

/// One process of a simulated cluster: a real core, and the toy model's memory in place of kernels.
final class SimulatedNode {
  /// In the place of a member's core until it is prepared.
  var preparing: PreparingCore?
  /// When it is prepared.
  var preparedAt: Microseconds = 0
  /// Exactly one of the four cores is there from then on.
  var server: ServerCore?
  var worker: WorkerCore?
  var fc: FCCore?
  var shard: ShardCore?

  let model: ToyModel
  let plan: RunPlan
  let facts: DatasetFacts
  var alive = true
  /// Its compute thread hangs; its socket thread lives on.
  var hung = false
  /// Its next computation fails.
  var broken = false
  /// How its process ended, if it has.
  var exit: Stop?
  var computeFree: Microseconds = 0
  var poison: SimulatedCluster.PoisonBox?
  var bug: PlantedBug?
  var rates = ToyRates()
  var validation = ToyValidation()

  /// Every chunk of the convolutional parameters; at the server and the shards the committed
  /// version, of which those of others mean nothing.
  var chunks: [[Int32]] = []
  var working: [[Int32]] = []
  private var rank = 0
  /// The neighbour's slice, where it is kept too.
  var mirror: Mirror?
  private(set) var columns = 0..<0
  private(set) var weights: [Int32] = []
  /// Where weights step within a step: what the steps so far have made, and whether it is read.
  private var workingWeights: [Int32] = []
  private var readsWorking = false
  private var currentWeights: [Int32] { readsWorking ? workingWeights : weights }
  private var weightGradient: [Int32] = []
  /// By sub-batch.
  private(set) var features: [Int: [[Int32]]] = [:]
  private(set) var logits: [Int: [Int32]] = [:]
  /// By block; and the sums over the blocks so far, by chunk.
  private var gradients: [Int: [[Int32]]] = [:]
  private var sums: [Int: [Int32]] = [:]
  private var spans: [Int: WorkerCore.BatchSpan] = [:]
  private var pass: FCCore.Pass?
  /// Pieces as they were when they were asked for.
  private var handover: ArraySlice<(Slice, [Frame])> = []
  private var stored: [Int32?] = []
  private var storedChunks: [[Int32]] = []
  /// Checkpoints, and the one that is coming in.
  private let disk: Disk
  private var staged: (chunks: [[Int32]], weights: [Int32]) = ([], [])
  private var source: UInt64 = 0
  /// What the server wrote down as the model.
  private(set) var saved: (steps: UInt64, chunks: [[Int32]], weights: [Int32?])?

  var isRunning: Bool { alive && exit == nil }

  /// What outlives a server: checkpoints by their steps.
  final class Disk {
    var archive: [UInt64: (chunks: [[Int32]], weights: [Int32], progress: ToyValidation.Progress)] =
      [:]
    /// Steps of the newest checkpoint; 0 if there is none.
    var newest: UInt64 { archive.keys.max() ?? 0 }
  }

  /// A server begins with the newest checkpoint on its disk.
  init(server core: ServerCore, _ model: ToyModel, _ facts: DatasetFacts, _ disk: Disk) {
    server = core
    plan = core.plan
    self.model = model
    self.facts = facts
    self.disk = disk
    source = disk.newest
    chunks =
      disk.archive[source]?.chunks ?? model.chunkSizes.indices.map(model.initialChunk)
    working = chunks
    validation = ToyValidation(disk.archive[source]?.progress ?? .init(), steps: source)
    rates.reductions = validation.progress.reductions
    stored = Array(repeating: nil, count: model.columns)
    storedChunks = model.chunkSizes.map { Array(repeating: 0, count: $0) }
  }

  /// A member has its memory from the start; its core comes once it is prepared.
  init(_ name: NodeName, _ model: ToyModel, _ plan: RunPlan, _ facts: DatasetFacts) {
    disk = Disk()
    self.plan = plan
    self.model = model
    self.facts = facts
    switch name.role {
    case .worker: chunks = model.chunkSizes.map { Array(repeating: 0, count: $0) }
    case .shard:
      chunks = model.chunkSizes.indices.map(model.initialChunk)
      working = chunks
    case .fc, .server, .observer:
      rank = name.rank
      columns = plan.featureSlices[rank]
      weights = columns.map(model.initialWeight)
      if plan.mirrorsFC {
        mirror = Mirror(plan.featureSlices[plan.mirrored(by: rank)], model)
      }
    }
  }

  // MARK: Computation

  func perform(_ operation: ServerCore.Operation) -> ServerCore.Outcome {
    switch operation {
    case .apply(let chunk, let gradients, let at):
      if let worker = gradients.firstIndex(where: { values([$0]).contains(ToyModel.notFinite) }) {
        return .notFinite(worker: worker, what: "its gradient is nan")
      }
      return .applied(frame(step(chunk, gradients, at: at)))
    case .commit:
      swap(&chunks, &working)
      return .done
    case .snapshot: return .snapshot(plan.shards.chunks[0].map { frame(chunks[$0]) })
    case .tally(let counts, let lossSum):
      let labels = values([counts[0]])
      return .tallied(
        Tally(
          examples: labels.filter { $0 >= 0 }.count, lossSum: lossSum, top1: 0, top5: 0))
    case .store(let slice, let frames, _):
      for (offset, value) in values(frames).enumerated() {
        if slice.key > 0 {
          guard slice.part == .value else { continue }
          if slice.transfer == 0 {
            storedChunks[slice.key - 1][slice.firstColumn + offset] = value
          } else {
            staged.chunks[slice.key - 1][slice.firstColumn + offset] = value
          }
        } else if slice.transfer == 0 {
          if slice.part == .value { stored[slice.firstColumn + offset] = value }
        } else if slice.part == .value {
          staged.weights[slice.firstColumn + offset] = value
        }
      }
      return .done
    case .beginCheckpoint:
      staged = (
        bug == .checkpointsTheWorkingVersion ? working : chunks,
        Array(repeating: 0, count: model.columns)
      )
      return .done
    case .finishCheckpoint(let steps):
      disk.archive[steps] = (
        staged.chunks, staged.weights, validation.progress(afterSteps: steps)
      )
      return .done
    case .rollBack(.max): return .done
    case .rollBack(let steps):
      source = steps
      chunks = disk.archive[steps]?.chunks ?? model.chunkSizes.indices.map(model.initialChunk)
      return .done
    case .cut(let name, let transfer, let first):
      guard let checkpoint = disk.archive[source] else { return .failed("no checkpoint") }
      if name.role == .shard {
        return .slices(pieces(of: plan.shards.chunks[name.rank], checkpoint.chunks, transfer))
      }
      return .slices(
        Array(
          pieces(of: heldColumns(by: name.rank), checkpoint.weights, transfer)
            .dropFirst(first).prefix(3)))
    case .save(let steps):
      let whole = chunks.indices.map { plan.shards.owner[$0] == 0 ? chunks[$0] : storedChunks[$0] }
      saved = (steps, whole, stored)
      let weights = stored.compactMap { $0 }
      if plan.makesCheckpoints, weights.count == stored.count {
        disk.archive[steps] = (whole, weights, validation.progress(afterSteps: steps))
      }
      return .saved(problem: nil)
    }
  }

  /// In pieces of one column, so that an end in the middle of them is met as well; the toy model
  /// has no velocities to put into theirs.
  private func pieces(
    of columns: [Int], _ weights: [Int32], _ transfer: UInt32
  ) -> [(Slice, [Frame])] {
    var pieces = columns.flatMap { column in
      Slice.Part.allCases.map { part in
        (
          Slice(
            transfer: transfer, number: 0, part: part, key: 0, firstRow: 0, rows: 1,
            firstColumn: column,
            columns: 1, isLast: false), [frame([part == .value ? weights[column] : 0])]
        )
      }
    }
    for index in pieces.indices { pieces[index].0.number = index }
    pieces[pieces.count - 1].0.isLast = true
    return pieces
  }

  func perform(_ operation: WorkerCore.Operation) -> WorkerCore.Outcome {
    if broken { return .failed("simulated: out of memory") }
    switch operation {
    case .configure, .forward: return .done
    case .load(let span, let block):
      spans[block] = span
      return .done
    case .forgetRounding: return .done
    case .install(let stage, let frames):
      for (chunk, frame) in zip(plan.chunks.ofStage[stage], frames) {
        chunks[chunk] = values([frame])
      }
      return .done
    case .features(let block, let columns): return features(block, columns)
    case .absorb(let block, let frames, let columns):
      let parts = zip(frames, columns).map { matrix(values($0), columns: $1.count) }
      gradients[block] = (0..<(spans[block]?.rows ?? 0)).map { row in
        parts.flatMap { $0.isEmpty ? [] : $0[row] }
      }
      return .done
    case .backward(let stage, let block, let isLast):
      // A share without rows has no part in the sum.
      let rows = spans[block]?.rows == 0 ? [] : gradients[block] ?? []
      for chunk in plan.chunks.ofStage[stage] {
        let gradient = model.chunkGradient(chunk, rows)
        let before = block == 0 ? gradient.map { _ in 0 } : sums[chunk] ?? []
        sums[chunk] = zip(before, gradient).map { $0 &+ $1 }
      }
      guard isLast else { return .gradients([]) }
      if let step = stepOfFirstRow,
        poison?.take(step, { if case .gradient = $0 { true } else { false } }) ?? false,
        let first = plan.chunks.ofStage[stage].first
      {
        sums[first]?[0] = ToyModel.notFinite
      }
      return .gradients(plan.chunks.ofStage[stage].map { frame(sums[$0] ?? []) })
    }
  }

  /// The training step of which this worker has the batch's first row.
  private var stepOfFirstRow: UInt64? {
    spans.values.first {
      $0.isTraining && $0.rows > 0 && $0.firstPosition % UInt64(plan.globalBatch) == 0
    }.map { $0.firstPosition / UInt64(plan.globalBatch) }
  }

  private func features(_ block: Int, _ columns: [Range<Int>]) -> WorkerCore.Outcome {
    guard let span = spans[block] else { return .failed("no batch") }
    let rows = model.features(
      isTraining: span.isTraining, firstPosition: span.firstPosition, rows: span.rows,
      chunks: chunks)
    let labels = (0..<span.rows).map { row -> Int32 in
      let index = span.firstPosition + UInt64(row)
      return span.isTraining || index < facts.evaluationExamples ? 1 : -1
    }
    return .features(
      columns.map { range in [frame(labels), frame(rows.flatMap { Array($0[range]) })] })
  }

  func perform(_ operation: FCCore.Operation) -> FCCore.Outcome {
    if broken { return .failed("simulated: out of memory") }
    switch operation {
    case .start(let pass, let lane, let blocks):
      self.pass = pass
      let rows = blocks.sorted { $0.rows.lowerBound < $1.rows.lowerBound }.flatMap {
        matrix(values(Array($0.frames.dropFirst())), columns: columns.count)
      }
      features[lane] = rows
      readsWorking = plan.schedule.updatesEachSubBatch && pass.isTraining && lane > 0
      return .segment(result(partial: model.partialLogits(rows, currentWeights)))
    case .segment(let index, let lane, let received, let isLast, let deliver, let closesTurn):
      return .segment(segment(index, lane, received, isLast, deliver, closesTurn))
    case .gradients:
      weightGradient = weights.indices.map { column in
        features.keys.reduce(0) {
          $0 &+ model.weightGradient(features[$1] ?? [], logits[$1] ?? [], column: column)
        }
      }
      return .done
    case .stepSubBatch(let step, let lane):
      let rate = rates.rate(at: step)
      workingWeights = weights.indices.map { column in
        model.step(
          currentWeights[column],
          model.weightGradient(features[lane] ?? [], logits[lane] ?? [], column: column),
          rate: rate)
      }
      return .done
    case .mirror(let step, let received):
      mirrorStep(received, rate: rates.rate(at: step))
      return .done
    case .apply(let step):
      let rate = rates.rate(at: step)
      mirror?.apply(model, plan, rate: rate)
      if plan.schedule.updatesEachSubBatch {
        swap(&weights, &workingWeights)
        readsWorking = false
        return .done
      }
      for index in weights.indices {
        weights[index] = model.step(weights[index], weightGradient[index], rate: rate)
      }
      return .done
    case .collect(let transfer, let isMirrored):
      var all = Array(repeating: Int32(0), count: model.columns)
      let source = isMirrored ? mirror?.columns ?? 0..<0 : columns
      for (column, weight) in zip(source, isMirrored ? mirror?.weights ?? [] : weights) {
        all[column] = weight
      }
      handover = pieces(of: Array(source), all, transfer)[...]
      return .slices(handOver())
    case .collectNext: return .slices(handOver())
    case .redraw:
      weights = columns.map(model.initialWeight)
      mirror = mirror.map { Mirror($0.columns, model) }
      return .done
    case .place(let slice, let frames):
      guard slice.part == .value else { return .done }
      for (offset, value) in values(frames).enumerated() {
        let column = slice.firstColumn + offset
        if columns.contains(column) {
          weights[column - columns.lowerBound] = value
        } else {
          mirror?.place(value, column)
        }
      }
      return .done
    }
  }

  private func handOver() -> [(Slice, [Frame])] {
    defer { handover = handover.dropFirst(3) }
    return Array(handover.prefix(3))
  }

  private func notFinite(_ lane: Int) -> FCCore.NotFinite? {
    guard let pass else { return nil }
    let first = plan.subBatches[lane].lowerBound
    let isGiven =
      first == 0
      && poison?.take(pass.step) { if case .features = $0 { true } else { false } } ?? false
    if isGiven { return .init(depth: 0, what: "its features are inf", givenRow: 0) }
    let isOwn = poison?.take(pass.step) { poison in
      if case .loss(self.rank) = poison { true } else { false }
    }
    return isOwn ?? false ? .init(depth: 2, what: "the loss is nan") : nil
  }

  private func result(partial: [Int32]) -> FCCore.SegmentResult {
    FCCore.SegmentResult(
      outgoing: Array(repeating: [frame(partial)], count: plan.fcNodesWanted))
  }

  private func segment(
    _ index: Int, _ lane: Int, _ received: [[Frame]], _ isLast: Bool, _ deliver: [Range<Int>]?,
    _ closesTurn: Bool
  ) -> FCCore.SegmentResult {
    let own = model.partialLogits(features[lane] ?? [], currentWeights)
    if index == 1 {
      var sum = own
      for frames in received where !frames.isEmpty {
        for (row, value) in values(frames).enumerated() { sum[row] &+= value }
      }
      logits[lane] = sum
    }
    guard isLast else { return result(partial: own) }
    var result = FCCore.SegmentResult(outgoing: [])
    if closesTurn {
      let examples = pass?.examples ?? 0
      let counts = (0..<plan.globalBatch).map { Int32($0 < examples ? 0 : -1) }
      result.report = (Double(examples), frame(counts))
    }
    if let deliver {
      if plan.mirrorsFC { result.outgoing = forMirror(features[lane] ?? []) }
      result.notFinite = notFinite(lane)
      let gradient = model.featureGradient(logits[lane] ?? [], currentWeights)
      let first = plan.subBatches[lane].lowerBound
      result.featureGradients = deliver.map { rows in
        [frame(gradient[rows.lowerBound - first..<rows.upperBound - first].flatMap { $0 })]
      }
    }
    return result
  }
}
