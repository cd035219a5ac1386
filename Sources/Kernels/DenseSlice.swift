package import Network
package import Tensors

/// What one pass over the fully connected layers is about.
package struct DensePass: Sendable {
  /// Whether dropout is on and gradients are made.
  package var training: Bool
  /// Key of the dropout masks.
  package var step: UInt64
  /// Divisor of the mean loss: valid examples of the whole global batch, not of this sub-batch.
  package var examples: Int

  /// A pass of these properties.
  package init(training: Bool, step: UInt64, examples: Int) {
    self.training = training
    self.step = step
    self.examples = examples
  }
}

/// One FC node's part of the fully connected layers: its columns of every activation and the
/// weights that make them (docs/design.md, "FC layers").
///
/// Computation is cut into segments between exchanges with the other nodes. Segment `s` consumes
/// what arrived in exchange `s - 1` and makes what leaves in exchange `s`; the caller moves the
/// frames. With L layers, exchange `i < L` is forward of layer `i`, exchange L the loss, exchange
/// `L + 1 + j` backward of layer `L - 1 - j`:
///
///     fill features and labels; begin(pass)
///     for s in 0..<cut.segmentCount(training:) {
///       run(segment: s, received: frames of exchange s - 1)
///       send outgoing(exchange: s, to: every peer)          // not after the last
///     }
///     featureGradient goes back; computeParameterGradients()
///
/// Sums over nodes run in rank order, so the same cut gives the same bits. All memory is planned
/// at init. One thread only. Neither `features` nor `labels` may change between `begin` and
/// `computeParameterGradients`.
package final class DenseSlice {
  /// How the layers are cut.
  let cut: DenseCut
  /// This node's among the FC nodes.
  let rank: Int
  /// Rows of every activation.
  package let rows: Int
  /// The run's.
  let seed: UInt64
  /// The fully connected layers, first to last.
  let layers: [DenseSliceLayer]
  /// The loss.
  let loss: LossSlice
  /// The last layer in training, where the loss is over a sample of the classes.
  let sampled: SampledHead?
  /// The products of layers that have none of their own, with their scratch memory.
  let gemm: GEMM
  /// `[rows, all outputs or inputs]`: partial sums on their way to their owners.
  let partial: AlignedBuffer

  /// Whether the copies of the weights that bf16 products read are still right.
  private let copies: WeightCopies
  private let featureMemory: AlignedBuffer
  private let featureGradientMemory: AlignedBuffer
  private let labelMemory: AlignedBuffer
  private let positionMemory: AlignedBuffer

  /// The pass under way.
  var pass = DensePass(training: false, step: 0, examples: 1)
  /// The segment that runs next; nil before the first `begin`.
  var nextSegment: Int?
  /// Frames that go to every peer alike, copied once.
  var sharedFrames: [Frame]?

  /// Sum of the losses of the rows that are not padding, after the loss segment; the same bits on
  /// every node of the cut.
  package internal(set) var lossSum = 0.0

  /// Allocates everything and draws the initial weights.
  ///
  /// - Parameters:
  ///   - cut: of this plan.
  ///   - rank: this node's among the FC nodes.
  ///   - rows: of the global batch, or of a sub-batch if the FC side runs several a step.
  ///   - seed: the run's.
  ///   - precision: of the products' operands, where oneDNN has it for this CPU: see
  ///     `KernelLibrary.check`. Everything else is fp32.
  ///   - lender: the slice of another sub-batch of the same cut and rank, whose parameters and
  ///     gradients this one uses; `nil` for parameters of its own.
  ///   - trains: `false` is for evaluation only, without memory for gradients and velocities of
  ///     parameters, which must then not be touched.
  ///   - keepsWorking: has a second version of the parameters, for steps within a step; a lender's
  ///     parameters are as they are.
  package init(
    plan: NetworkPlan, cut: DenseCut, rank: Int, rows: Int, seed: UInt64,
    precision: NumberFormat = .fp32, lender: DenseSlice? = nil, trains: Bool = true,
    keepsWorking: Bool = false
  ) {
    precondition(rank >= 0 && rank < cut.nodes && rows >= 1, "rank \(rank), \(rows) rows")
    self.cut = cut
    self.rank = rank
    self.rows = rows
    self.seed = seed
    let featureCount = rows * cut.featureSlices[rank].count
    featureMemory = AlignedBuffer(floats: featureCount)
    featureGradientMemory = AlignedBuffer(floats: featureCount)
    labelMemory = AlignedBuffer(byteCount: rows * MemoryLayout<Int32>.stride)
    positionMemory = AlignedBuffer(byteCount: rows * MemoryLayout<UInt32>.stride)
    let positions = positionMemory.bytes.bindMemory(to: UInt32.self)
    for row in 0..<rows { positions[row] = UInt32(row) }

    var layers: [DenseSliceLayer] = []
    for layerCut in cut.layers {
      let before = layers.last
      let units = layerCut.inputSlices[rank]
      let first = before.map { $0.cut.position + 1 } ?? 0
      layers.append(
        DenseSliceLayer(
          cut: layerCut, rank: rank, rows: rows,
          elementwise: plan.fullyConnected[first..<layerCut.position].compactMap {
            DenseElementwise($0, units: units, rows: rows)
          },
          source: before.map { UnsafePointer($0.output) }
            ?? UnsafePointer(featureMemory.floatPointer),
          parameters: lender?.layers[layers.count].parameters
            ?? DenseLayerParameters(
              layerCut, rank: rank, seed: seed, trains: trains, keepsWorking: keepsWorking,
              isSampled: trains && cut.sampleRate < 1 && layers.count == cut.layers.count - 1),
          precision: precision, lender: lender?.layers[layers.count].products))
    }
    self.layers = layers
    loss = LossSlice(plan.loss, classes: cut.classSlices, rank: rank, rows: rows)
    sampled =
      trains && cut.sampleRate < 1
      ? layers.last.map {
        SampledHead(
          own: $0.outputs, rate: cut.sampleRate, inputs: $0.cut.inputs, rows: rows, seed: seed)
      } : nil
    gemm = GEMM(
      widths: layers.filter { $0.products == nil }.map(\.parameters.weight.columns.count))
    copies = lender?.copies ?? WeightCopies()
    let widest = layers.map { $0.gathers ? $0.cut.inputs : $0.cut.outputs }.max() ?? 0
    partial = AlignedBuffer(floats: cut.nodes > 1 ? rows * widest : 0)
  }

  /// `[rows, own feature slice]`: the caller fills it before a pass. Rows of padding are zeroed.
  package var features: UnsafeMutablePointer<Float> { featureMemory.floatPointer }

  /// `[rows, own feature slice]`: dL/dfeatures, summed over the nodes, after the last training
  /// segment.
  package var featureGradient: UnsafePointer<Float> {
    UnsafePointer(featureGradientMemory.floatPointer)
  }

  /// `[rows]`: the class of each row; -1 marks padding, which has no loss, no gradient and does
  /// not count. Labels off the wire are checked with `firstInvalidLabel` before a pass.
  package var labels: UnsafeMutablePointer<Int32> {
    labelMemory.bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int32.self)
  }

  /// `[rows]`: each row's position in the global batch, part of the key of the dropout masks.
  /// Starts as 0, 1, 2 ...; a sub-batch that holds other examples says which.
  package var positions: UnsafeMutablePointer<UInt32> {
    positionMemory.bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt32.self)
  }

  /// `[rows, own classes]`: the last layer's outputs, after the loss segment and until the next pass.
  package var logits: UnsafeBufferPointer<Float> {
    guard let last = layers.last else { return UnsafeBufferPointer(start: nil, count: 0) }
    return UnsafeBufferPointer(
      start: UnsafePointer(last.output), count: rows * cut.classSlices[rank].count)
  }

  /// What oneDNN chose for the products that it computes as primitives:
  /// ("fc6", "forward brg:avx512_core_bf16").
  package var implementations: [(layer: String, implementation: String)] {
    layers.flatMap { layer in
      (layer.products?.implementations ?? []).map { (layer.cut.name, $0) }
    }
  }

  /// The first row whose label is neither -1 nor a class.
  package var firstInvalidLabel: Int? {
    let classes = cut.classSlices.count
    return (0..<rows).first { labels[$0] < -1 || labels[$0] >= classes }
  }

  /// The weight and bias pieces of every layer, as committed; empty pieces are left out.
  ///
  /// Who takes them may change them until the next `begin`, where bf16 products copy the weights
  /// anew.
  package var parameters: [OwnedParameter] {
    copies.areStale = true
    return layers.flatMap { [$0.parameters.weight, $0.parameters.bias] }.filter { $0.count > 0 }
  }

  /// The same in their working version; empty where only one is kept.
  package var workingParameters: [OwnedParameter] {
    copies.areStale = true
    return layers.compactMap(\.parameters.working).flatMap { [$0.weight, $0.bias] }
      .filter { $0.count > 0 }
  }

  /// Whether passes read the working version, as those of all sub-batches do that share these
  /// parameters.
  package var readsWorking: Bool {
    get { layers.contains { $0.parameters.readsWorking } }
    set {
      copies.areStale = true
      for layer in layers { layer.parameters.readsWorking = newValue }
    }
  }

  /// Makes the working version the committed one; where only one is kept, nothing.
  package func commit() {
    copies.areStale = true
    for layer in layers { layer.parameters.commit() }
  }

  /// Starts a pass over the features and labels that lie ready; an unfinished pass is forgotten.
  package func begin(_ pass: DensePass) {
    precondition(pass.examples >= 1, "a mean over \(pass.examples) examples")
    precondition(firstInvalidLabel == nil, "labels were not checked")
    self.pass = pass
    if copies.areStale {
      for layer in layers { layer.products?.takeWeights(layer.parameters.weightValue) }
      copies.areStale = false
    }
    nextSegment = 0
    sharedFrames = nil
    lossSum = 0
    let width = cut.featureSlices[rank].count
    for row in 0..<rows where labels[row] < 0 {
      (features + row * width).update(repeating: 0, count: width)
    }
  }

  /// Runs one segment; they come in order, each once.
  ///
  /// - Parameter received: frames of exchange `segment - 1` by rank, each rank's as long as
  ///   `expectedBytes` says; the own entry and all of segment 0 are ignored.
  package func run(segment: Int, received: [[Frame]]) {
    precondition(
      segment == nextSegment && segment < cut.segmentCount(training: pass.training),
      "segment \(segment), expected \(nextSegment ?? 0)")
    precondition(segment == 0 || cut.nodes == 1 || received.count == cut.nodes)
    nextSegment = segment + 1
    sharedFrames = nil
    if segment > 0 { consume(cut.exchange(segment - 1), received) }
    guard segment < cut.exchangeCount(training: pass.training) else { return }
    produce(cut.exchange(segment))
  }

  /// What this node owes `peer` in an exchange, after the segment of the same number; empty if
  /// nothing. Frames hold whole rows and at most 4 MiB.
  package func outgoing(exchange: Int, to peer: Int, pool: FramePool) -> [Frame] {
    precondition(nextSegment == exchange + 1 && peer != rank, "exchange \(exchange) to \(peer)")
    let columns = cut.exchangedColumns(exchange, from: rank, to: peer)
    guard columns > 0 else { return [] }
    func shared(_ source: UnsafePointer<Float>) -> [Frame] {
      if let sharedFrames { return sharedFrames }
      let frames = DensePayload(source: source, rows: rows, columns: columns, stride: columns)
        .frames(pool)
      sharedFrames = frames
      return frames
    }
    func partialSums(_ owner: Partition) -> [Frame] {
      DensePayload(
        source: partial.floatPointer + owner[peer].lowerBound, rows: rows, columns: columns,
        stride: owner.count
      ).frames(pool)
    }
    switch cut.exchange(exchange) {
    case .loss: return shared(loss.statistics(of: rank))
    case .forward(let position):
      let layer = layers[position]
      return layer.gathers ? shared(layer.input) : partialSums(layer.cut.outputSlices)
    case .backward(let position):
      let layer = layers[position]
      return layer.gathers ? partialSums(layer.cut.inputSlices) : shared(layer.outputGradient)
    }
  }

  /// Bytes that `peer` owes this node in an exchange, over all its frames.
  package func expectedBytes(exchange: Int, from peer: Int) -> Int {
    guard peer != rank else { return 0 }
    return rows * cut.exchangedColumns(exchange, from: peer, to: rank)
      * MemoryLayout<Float>.stride
  }

  /// Writes how many logits of this slice are larger than each row's true one, after the loss
  /// segment; of equal logits those of lower classes count as larger.
  ///
  /// The sum over the nodes is the rank of the true class: below 5 means top-5 is right. Where a
  /// training pass is over a sample of the classes, the rank is among these.
  ///
  /// - Parameter counts: `[rows]`; -1 for padding.
  package func writeRanks(into counts: UnsafeMutablePointer<Int32>) {
    guard let last = layers.last else { return }
    loss.writeRanks(last.output, labels: labels, sample: sample, into: counts)
  }

  /// The classes that the pass under way is over; `nil` for all.
  var sample: ClassSample? { pass.training ? sampled?.sample : nil }

  /// The last layer of the pass under way, if it is over a sample of the classes.
  func head(_ layer: DenseSliceLayer) -> SampledHead? {
    pass.training && layer === layers.last ? sampled : nil
  }

  /// The gradient of the inputs of a layer is that of the outputs of the one before.
  func inputGradient(_ position: Int) -> UnsafeMutablePointer<Float> {
    position == 0 ? featureGradientMemory.floatPointer : layers[position - 1].outputGradient
  }
}

/// What the slices of one set of weights know of the copies that bf16 products read.
final class WeightCopies {
  var areStale = true
}
