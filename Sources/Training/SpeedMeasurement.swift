import Glibc
package import Kernels
package import Network
package import Planning
package import Tensors

/// Times this machine's kernels, one thread as each node has, for a forecast.
package enum SpeedMeasurement {
  /// Measures every conv stage and every segment of an FC slice, each for two numbers of rows, and
  /// the optimizer. Takes a few seconds for AlexNet.
  ///
  /// - Parameters:
  ///   - share: rows of a worker.
  ///   - batch: rows of an FC node.
  ///   - nodes: over how many the FC layers are cut.
  ///   - threads: of a node's kernels.
  /// - Throws: `KernelError` if oneDNN cannot compute a layer.
  package static func run(
    _ plan: NetworkPlan, share: Int, batch: Int, nodes: Int, algorithm: ConvolutionAlgorithm,
    precision: NumberFormat = .fp32, threads: Int = 1
  ) throws(KernelError) -> Speeds {
    ComputeThreads.use(threads)
    let shares = (max(1, share / 4), share)
    let small = try convolution(plan, rows: shares.0, algorithm, precision)
    let large = try convolution(plan, rows: shares.1, algorithm, precision)
    let batches = (max(1, batch / 4), batch)
    let cut = DenseCut(plan, nodes: nodes)
    let few = dense(plan, cut, rows: batches.0, precision)
    let many = dense(plan, cut, rows: batches.1, precision)
    func lines(_ rows: (Int, Int), _ a: [Double], _ b: [Double], _ factor: Double) -> [LinearCost] {
      zip(a, b).map { LinearCost(rows: rows, seconds: ($0.0 * factor, $0.1 * factor)) }
    }
    let gradients = lines(batches, [few.gradients], [many.gradients], Double(nodes))
    return Speeds(
      forward: lines(shares, small.forward, large.forward, 1),
      backward: lines(shares, small.backward, large.backward, 1),
      segments: lines(batches, few.segments, many.segments, Double(nodes)),
      denseGradients: gradients[0], updatePerValue: update())
  }

  /// Passes of which the fastest counts: a busy machine only makes them slower.
  private static let rounds = 3

  private static func convolution(
    _ plan: NetworkPlan, rows: Int, _ algorithm: ConvolutionAlgorithm, _ precision: NumberFormat
  ) throws(KernelError) -> (forward: [Double], backward: [Double]) {
    let stack = try ConvolutionStack(
      plan: plan, rows: rows, training: true, algorithm: algorithm, precision: precision)
    stack.input.update(repeating: 0.5)
    stack.featureGradient.update(repeating: 1e-3)
    for stage in stack.stages {
      let vector = AlignedBuffer(floats: max(stage.parameterCount, 1))
      let values = vector.floatPointer
      for index in 0..<stage.parameterCount { values[index] = Float(index % 7 - 3) * 0.01 }
      stack.setParameters(stage: stage.index, from: UnsafePointer(values))
    }
    let stages = stack.stages.indices
    var forward = Array(repeating: Double.infinity, count: stages.count)
    var backward = forward
    for _ in 0..<rounds {
      for stage in stages {
        forward[stage] = min(forward[stage], seconds { stack.forward(stage: stage) })
      }
      for stage in stages.reversed() {
        backward[stage] = min(backward[stage], seconds { stack.backward(stage: stage) })
      }
    }
    return (forward, backward)
  }

  private static func dense(
    _ plan: NetworkPlan, _ cut: DenseCut, rows: Int, _ precision: NumberFormat
  ) -> (segments: [Double], gradients: Double) {
    let slice = DenseSlice(plan: plan, cut: cut, rank: 0, rows: rows, seed: 1, precision: precision)
    for parameter in slice.parameters {
      parameter.value.update(repeating: 0.01, count: parameter.count)
    }
    slice.features.update(repeating: 0.5, count: rows * cut.featureSlices[0].count)
    for row in 0..<rows { slice.labels[row] = Int32(row % plan.classes) }
    let pool = FramePool()
    let count = cut.segmentCount(training: true)
    // What peers would send: zeros of the right size.
    let received = (0..<count - 1).map { exchange in
      (0..<cut.nodes).map { peer -> [Frame] in
        let bytes = slice.expectedBytes(exchange: exchange, from: peer)
        guard bytes > 0 else { return [] }
        return [pool.frame(floats: bytes / 4) { $0.update(repeating: 0.1) }]
      }
    }
    var segments = Array(repeating: Double.infinity, count: count)
    var gradients = Double.infinity
    for _ in 0..<rounds {
      slice.begin(DensePass(training: true, step: 0, examples: rows))
      for segment in 0..<count {
        let frames = segment == 0 ? [] : received[segment - 1]
        segments[segment] = min(
          segments[segment], seconds { slice.run(segment: segment, received: frames) })
      }
      gradients = min(gradients, seconds { slice.computeParameterGradients() })
    }
    return (segments, gradients)
  }

  /// Seconds a value of the optimizer.
  private static func update() -> Double {
    let count = 4 << 20
    let memory = (0..<3).map { _ in AlignedBuffer(floats: count) }
    for buffer in memory { buffer.floatPointer.update(repeating: 0.01, count: count) }
    let sgd = SGD(learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4, convention: .paper2012)
    let (weight, velocity) = (memory[0].floatPointer, memory[1].floatPointer)
    var best = Double.infinity
    for _ in 0..<rounds {
      best = min(
        best,
        seconds {
          sgd.update(
            count: count, gradient: UnsafePointer(memory[2].floatPointer),
            weight: UnsafePointer(weight), velocity: UnsafePointer(velocity), newWeight: weight,
            newVelocity: velocity)
        })
    }
    return best / Double(count)
  }

  private static func seconds(_ work: () -> Void) -> Double {
    var before = timespec()
    var after = timespec()
    clock_gettime(CLOCK_MONOTONIC, &before)
    work()
    clock_gettime(CLOCK_MONOTONIC, &after)
    return Double(after.tv_sec - before.tv_sec) + Double(after.tv_nsec - before.tv_nsec) / 1e9
  }
}
