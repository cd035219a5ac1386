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
  private var stack: ConvolutionStack?
  private var labels: Frame?
  /// A stage's parameter vector put together from its chunks, or its gradient before it is cut.
  private let vector: AlignedBuffer

  init(context: RunContext, loader: BatchLoader) {
    self.context = context
    self.loader = loader
    let largest = context.network.stages.map(\.parameterCount).max() ?? 0
    vector = AlignedBuffer(floats: largest)
  }

  func close() {}

  func perform(_ operation: WorkerCore.Operation) -> WorkerCore.Outcome {
    switch operation {
    case .configure(let rows): return configure(rows: rows)
    case .load(let span): return load(span)
    case .install(let stage, let chunks):
      install(stage, chunks)
      return .done
    case .forward(let stage):
      stack?.forward(stage: stage)
      return .done
    case .features(let columns): return features(columns)
    case .absorb(let gradients, let columns):
      absorb(gradients, columns)
      return .done
    case .backward(let stage): return backward(stage)
    }
  }

  private func configure(rows: Int) -> WorkerCore.Outcome {
    stack = nil
    do throws(KernelError) {
      stack = try ConvolutionStack(
        plan: context.network, rows: rows, training: true,
        algorithm: context.convolutionAlgorithm)
      return .done
    } catch {
      return .failed("\(error)")
    }
  }

  private func load(_ span: WorkerCore.BatchSpan) -> WorkerCore.Outcome {
    guard let stack else { return .failed("no memory is planned") }
    do throws(DatasetError) {
      let batch = try loader.take(BatchRequest(span))
      defer { loader.recycle(batch) }
      if let target = stack.input.baseAddress, let source = batch.images.baseAddress {
        target.update(from: source, count: batch.images.count)
      }
      let values = batch.labels
      labels = pool.frame(byteCount: values.count * 4) { target in
        target.copyMemory(from: UnsafeRawBufferPointer(values))
      }
      return .done
    } catch {
      return .failed("\(error)")
    }
  }

  private func install(_ stage: Int, _ chunks: [Frame]) {
    var offset = 0
    for chunk in chunks {
      guard let source = chunk.floats.baseAddress else { continue }
      (vector.floatPointer + offset).update(from: source, count: chunk.floats.count)
      offset += chunk.floats.count
    }
    stack?.setParameters(stage: stage, from: vector.floatPointer)
  }

  private func features(_ columns: [Range<Int>]) -> WorkerCore.Outcome {
    guard let stack, let labels, let base = stack.features.baseAddress else {
      return .failed("features before a batch")
    }
    let stride = context.network.features
    return .features(
      columns.map { range in
        [labels]
          + RowBlocks.frames(
            of: base, stride: stride, rows: 0..<stack.rows, columns: range, pool: pool)
      })
  }

  private func absorb(_ gradients: [[Frame]], _ columns: [Range<Int>]) {
    guard let stack, let base = stack.featureGradient.baseAddress else { return }
    for (frames, range) in zip(gradients, columns) {
      RowBlocks.place(
        frames, into: base, stride: context.network.features, rows: 0..<stack.rows,
        columns: range)
    }
  }

  private func backward(_ stage: Int) -> WorkerCore.Outcome {
    let chunks = context.plan.chunks
    guard let stack else { return .failed("no memory is planned") }
    stack.backward(stage: stage)
    guard !chunks.ofStage[stage].isEmpty else { return .gradients([]) }
    if stack.rows > 0 {
      stack.writeGradient(stage: stage, into: vector.floatPointer)
    } else {
      // An empty share adds nothing to the sum.
      vector.floatPointer.update(
        repeating: 0, count: context.network.stages[stage].parameterCount)
    }
    return .gradients(
      chunks.ofStage[stage].map { index in
        let range = chunks.chunks[index].range
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
