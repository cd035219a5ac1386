import Configuration
import Datasets
import Glibc
import Kernels
import Network
package import Planning
import Synchronization
import Tensors
package import Training
import Transport

/// Times this machine's kernels, one thread as each node has, and what else a node does, for a
/// forecast.
package enum SpeedMeasurement {
  /// Measures every conv stage and every segment of an FC slice, each for two numbers of rows, the
  /// optimizer, the loader and sockets. Takes a few seconds for AlexNet.
  ///
  /// - Parameters:
  ///   - shape: of its shares and its FC nodes; where machines share cores, as many threads compute at
  ///     the same time as they have cores, because caches and memory are shared too.
  ///   - threads: of a node's kernels.
  /// - Throws: `KernelError` if oneDNN cannot compute a layer, `TrainingError` or `TransportError` if
  ///   there is no data or no socket.
  package static func run(
    _ context: RunContext, _ shape: ClusterShape, threads: Int = 1
  ) throws -> Speeds {
    ComputeThreads.use(threads)
    let plan = context.network
    let algorithm = context.convolutionAlgorithm
    let precision = context.configuration.precision
    let (share, batch) = (shape.share, shape.globalBatch / shape.subBatches)
    let cores = Int(min(shape.sharedCores ?? 1, 4096))
    let (workers, nodes) = (min(cores, shape.workers), min(cores, shape.fcNodes))
    let shares = (max(1, share / 4), share)
    let batches = (max(1, batch / 4), batch)
    let cut = DenseCut(plan, nodes: shape.fcNodes)
    func convolutions(_ rows: Int) throws -> (forward: [Double], backward: [Double]) {
      try together(workers) { try convolution(plan, rows: rows, algorithm, precision) }
    }
    func denses(_ rows: Int) throws -> (segments: [Double], gradients: Double) {
      try together(nodes) { dense(plan, cut, rows: rows, precision) }
    }
    let (small, large) = (try convolutions(shares.0), try convolutions(shares.1))
    let (few, many) = (try denses(batches.0), try denses(batches.1))
    func lines(_ rows: (Int, Int), _ a: [Double], _ b: [Double], _ factor: Double) -> [LinearCost] {
      zip(a, b).map { LinearCost(rows: rows, seconds: ($0.0 * factor, $0.1 * factor)) }
    }
    let parts = Double(shape.fcNodes)
    return Speeds(
      forward: lines(shares, small.forward, large.forward, 1),
      backward: lines(shares, small.backward, large.backward, 1),
      segments: lines(batches, few.segments, many.segments, parts),
      denseGradients: lines(batches, [few.gradients], [many.gradients], parts)[0],
      updatePerValue: try together(nodes) { update() }, secondsPerByte: try secondsPerByte(),
      dataPerRow: try dataPerRow(context, rows: share))
  }

  /// What `measure` finds on one thread while others do the same, over and over.
  private static func together<Result>(
    _ count: Int, _ measure: @escaping () throws -> Result
  ) throws -> Result {
    let begun = try Mailbox<Bool>()
    // Each makes its own stack and slice, of constants that all of them only read.
    nonisolated(unsafe) let measure = measure
    let over = Flag()
    let others = try (1..<max(count, 1)).map { number in
      try OwnedThread(name: "load \(number)") {
        ComputeThreads.use(1)
        begun.post(true)
        while !over.isSet { guard (try? measure()) != nil else { return } }
      }
    }
    defer {
      over.set()
      for thread in others { thread.join() }
    }
    for _ in others { _ = begun.take() }
    return try measure()
  }

  /// Set by one thread, seen by all.
  private final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
  }

  /// Passes of which the middle one counts: the first finds cold caches, and one may be interrupted.
  private static let rounds = 3

  private static func middle(_ times: [Double]) -> Double { times.sorted()[times.count / 2] }

  private static func convolution(
    _ plan: NetworkPlan, rows: Int, _ algorithm: ConvolutionAlgorithm, _ precision: NumberFormat
  ) throws(KernelError) -> (forward: [Double], backward: [Double]) {
    let stack = try ConvolutionStack(
      plan: plan, rows: rows, training: true, algorithm: algorithm, precision: precision)
    stack.input.update(repeating: 0.5)
    stack.featureGradient.update(repeating: 1e-3)
    let stages = stack.stages.indices
    var forward = Array(repeating: [Double](), count: stages.count)
    var backward = forward
    let most = stack.stages.map(\.parameterCount).max() ?? 1
    let memory = (AlignedBuffer(floats: max(most, 1)), AlignedBuffer(floats: max(most, 1)))
    memory.0.floatPointer.update(repeating: 0.01, count: max(most, 1))
    for _ in 0..<rounds {
      for stage in stages {
        forward[stage].append(
          seconds {
            if stack.stages[stage].parameterCount > 0 {
              stack.setParameters(stage: stage, from: UnsafePointer(memory.0.floatPointer))
            }
            stack.forward(stage: stage)
          })
      }
      for stage in stages.reversed() {
        backward[stage].append(
          seconds {
            stack.backward(stage: stage)
            let count = stack.stages[stage].parameterCount
            guard count > 0 else { return }
            // And from there to frames.
            stack.writeGradient(stage: stage, into: memory.1.floatPointer)
            memory.0.floatPointer.update(from: memory.1.floatPointer, count: count)
          })
      }
      memory.0.floatPointer.update(repeating: 0.01, count: max(most, 1))
    }
    return withExtendedLifetime(memory) { (forward.map(middle), backward.map(middle)) }
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
    var segments = Array(repeating: [Double](), count: count)
    var gradients: [Double] = []
    for _ in 0..<rounds {
      slice.begin(DensePass(training: true, step: 0, examples: rows))
      for segment in 0..<count {
        let frames = segment == 0 ? [] : received[segment - 1]
        segments[segment].append(seconds { slice.run(segment: segment, received: frames) })
      }
      gradients.append(seconds { slice.computeParameterGradients() })
    }
    return (segments.map(middle), middle(gradients))
  }

  /// Seconds a value of the optimizer.
  private static func update() -> Double {
    let count = 4 << 20
    let memory = (0..<3).map { _ in AlignedBuffer(floats: count) }
    for buffer in memory { buffer.floatPointer.update(repeating: 0.01, count: count) }
    let sgd = SGD(learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4, convention: .paper2012)
    let (weight, velocity) = (memory[0].floatPointer, memory[1].floatPointer)
    let times = (0..<rounds).map { _ in
      seconds {
        sgd.update(
          count: count, gradient: UnsafePointer(memory[2].floatPointer),
          weight: UnsafePointer(weight), velocity: UnsafePointer(velocity), newWeight: weight,
          newVelocity: velocity)
      }
    }
    return withExtendedLifetime(memory) { middle(times) / Double(count) }
  }

  /// Seconds of a core for an example that the loader makes; 0 for data from files, which may not be
  /// on this machine.
  private static func dataPerRow(_ context: RunContext, rows: Int) throws -> Double {
    guard case .synthetic(_) = context.configuration.dataset else { return 0 }
    let loader = try OpenDataset(context).loader()
    defer { loader.stop() }
    let count = min(rows, 16)
    let times = try (0..<rounds).map { round in
      try waiting {
        loader.recycle(
          try loader.take(
            BatchRequest(kind: .training, firstPosition: UInt64(round * count), rows: count)))
      }
    }
    return middle(times) / Double(count)
  }

  /// Seconds of a core, at both ends together, for a byte that goes from one socket to another.
  private static func secondsPerByte() throws -> Double {
    let (count, size) = (128, 1 << 18)
    let context = try Context()
    defer { context.terminate() }
    let receiver = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    guard let endpoint = receiver.boundEndpoint else { return 0 }
    let over = Flag()
    let thread = try OwnedThread(name: "sender") {
      guard let context = try? Context() else { return }
      defer { context.terminate() }
      guard let hub = try? Hub(context: context, listen: nil), let link = try? hub.dial(endpoint)
      else { return }
      defer { hub.close(lingerMilliseconds: 1000) }
      let frames = (0..<16).map { _ in Frame(copying: [Float](repeating: 0, count: size)) }
      for number in 0..<count { _ = hub.send([frames[number % 16]], to: link) }
      while !over.isSet, (try? hub.wait(milliseconds: 5, wakeUp: nil)) != nil {}
    }
    defer {
      over.set()
      thread.join()
      receiver.close(lingerMilliseconds: 0)
    }
    var received = 0
    var start = 0.0
    let deadline = now(CLOCK_MONOTONIC) + 5
    while received < count, now(CLOCK_MONOTONIC) < deadline {
      _ = try receiver.wait(milliseconds: 50, wakeUp: nil)
      while try receiver.receive() != nil {
        received += 1
        // The sender's frames are made by then.
        if received == 1 { start = now(CLOCK_PROCESS_CPUTIME_ID) }
      }
    }
    let spent = now(CLOCK_PROCESS_CPUTIME_ID) - start
    return received < 2 ? 0 : spent / Double((received - 1) * size * 4)
  }

  private static func waiting(_ work: () throws -> Void) throws -> Double {
    let before = now(CLOCK_MONOTONIC)
    try work()
    return now(CLOCK_MONOTONIC) - before
  }

  private static func seconds(_ work: () -> Void) -> Double {
    let before = now(CLOCK_MONOTONIC)
    work()
    return now(CLOCK_MONOTONIC) - before
  }

  private static func now(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
