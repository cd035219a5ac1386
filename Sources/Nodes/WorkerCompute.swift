import Configuration
import Network
import Coordination
import Datasets
import Kernels
import Messages
import Tensors
import Training

/// A worker's computations: its conv replica and its data.
final class WorkerCompute: Performer {
  private let context: RunContext
  private let loader: BatchLoader
  private let pool = FramePool()
  /// One a block of rows.
  private var stacks: [ConvolutionStack] = []
  private var labels: [Frame?] = []
  /// The gradient of each stage, summed over the blocks so far; unused with a single block.
  private var sums: [AlignedBuffer] = []
  /// `nil` with fp32 gradients on the wire.
  private let errors: RoundingErrors?
  /// A stage's parameter vector put together from its chunks, or its gradient before it is cut.
  private let vector: AlignedBuffer
  private let samples: SamplePictures

  /// - Parameter classNames: for the pictures that people see.
  init(context: RunContext, loader: BatchLoader, classNames: [String]? = nil) {
    samples = SamplePictures(input: context.network.input, classNames: classNames)
    self.context = context
    self.loader = loader
    let largest = context.network.stages.map(\.parameterCount).max() ?? 0
    vector = AlignedBuffer(floats: largest)
    errors =
      context.plan.wire.gradients == .bf16
      ? RoundingErrors(counts: context.network.stages.map(\.parameterCount)) : nil
  }

  func close() {}

  func perform(_ operation: WorkerCore.Operation) -> WorkerCore.Outcome {
    switch operation {
    case .configure(let rows): return configure(rows: rows)
    case .load(let span, let block): return load(span, block)
    case .install(let stage, let chunks):
      install(stage, chunks)
      return .done
    case .forward(let stage, let block):
      stacks[block].forward(stage: stage)
      return .done
    case .features(let block, let columns): return features(block, columns)
    case .absorb(let block, let gradients, let columns):
      absorb(stacks[block], gradients, columns)
      return .done
    case .backward(let stage, let block, let isLast): return backward(stage, block, isLast)
    case .forgetRounding(let step):
      errors?.forget(step: step)
      return .done
    }
  }

  private func configure(rows: [Int]) -> WorkerCore.Outcome {
    stacks = []
    labels = Array(repeating: nil, count: rows.count)
    if rows.count > 1, sums.isEmpty {
      sums = context.network.stages.map { AlignedBuffer(floats: $0.parameterCount) }
    }
    do throws(KernelError) {
      for rows in rows {
        stacks.append(
          try ConvolutionStack(
            plan: context.network, rows: rows, training: true,
            algorithm: context.convolutionAlgorithm, precision: context.configuration.precision))
      }
      return .done
    } catch {
      return .failed("\(error)")
    }
  }

  private func load(_ span: WorkerCore.BatchSpan, _ block: Int) -> WorkerCore.Outcome {
    let stack = stacks[block]
    if span.isTraining {
      errors?.begin(step: span.firstPosition / UInt64(context.plan.globalBatch))
    }
    do throws(DatasetError) {
      let request = BatchRequest(span)
      let batch = try loader.take(request)
      defer { loader.recycle(batch) }
      if let target = stack.input.baseAddress, let source = batch.images.baseAddress {
        target.update(from: source, count: batch.images.count)
      }
      let values = batch.labels
      labels[block] = pool.frame(byteCount: values.count * 4) { target in
        target.copyMemory(from: UnsafeRawBufferPointer(values))
      }
      if let (pictures, frames) = samples.make(batch, request) {
        return .pictures(pictures, frames)
      }
      return .done
    } catch {
      return error.endsRun ? .hopeless("\(error)") : .failed("\(error)")
    }
  }

  private func install(_ stage: Int, _ chunks: [Frame]) {
    var offset = 0
    for chunk in pool.unpack(chunks, from: context.plan.wire.parameters) {
      guard let source = chunk.floats.baseAddress else { continue }
      (vector.floatPointer + offset).update(from: source, count: chunk.floats.count)
      offset += chunk.floats.count
    }
    for stack in stacks { stack.setParameters(stage: stage, from: vector.floatPointer) }
  }

  private func features(_ block: Int, _ columns: [Range<Int>]) -> WorkerCore.Outcome {
    let stack = stacks[block]
    guard let labels = labels[block], let base = stack.features.baseAddress else {
      return .failed("features before a batch")
    }
    let stride = context.network.features
    return .features(
      columns.map { range in
        [labels]
          + pool.pack(
            RowBlocks.frames(
              of: base, stride: stride, rows: 0..<stack.rows, columns: range, pool: pool),
            as: context.plan.wire.activations)
      })
  }

  private func absorb(
    _ stack: ConvolutionStack, _ gradients: [[Frame]], _ columns: [Range<Int>]
  ) {
    guard let base = stack.featureGradient.baseAddress else { return }
    for (frames, range) in zip(gradients, columns) {
      RowBlocks.place(
        pool.unpack(frames, from: context.plan.wire.activations), into: base,
        stride: context.network.features, rows: 0..<stack.rows,
        columns: range)
    }
  }

  private func backward(_ stage: Int, _ block: Int, _ isLast: Bool) -> WorkerCore.Outcome {
    let chunks = context.plan.chunks
    let stack = stacks[block]
    stack.backward(stage: stage)
    guard !chunks.ofStage[stage].isEmpty else { return .gradients([]) }
    // An empty share's gradient is zero.
    stack.writeGradient(stage: stage, into: vector.floatPointer)
    if stacks.count > 1 {
      let count = context.network.stages[stage].parameterCount
      let sum = sums[stage].floatPointer
      // In the order of the blocks, so that the same shape gives the same bits.
      if block > 0 {
        DenseVector.add(sum, to: vector.floatPointer, count: count)
      }
      if !isLast { sum.update(from: vector.floatPointer, count: count) }
    }
    guard isLast else { return .gradients([]) }
    return .gradients(
      chunks.ofStage[stage].map { index in
        let range = chunks.chunks[index].range
        if let errors {
          return errors.pack(vector.floatPointer, stage: stage, range: range, pool: pool)
        }
        return pool.frame(floats: range.count) { target in
          target.baseAddress?.update(
            from: vector.floatPointer + range.lowerBound, count: range.count)
        }
      })
  }
}

extension BatchRequest {
  /// The loader's name for a share of a turn.
  init(_ span: WorkerCore.BatchSpan) {
    self.init(
      kind: span.isTraining ? .training : .evaluation, firstPosition: span.firstPosition,
      rows: span.rows)
  }
}
