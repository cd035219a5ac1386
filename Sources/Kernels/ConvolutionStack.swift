package import Network
package import Tensors

/// How convolutions are computed.
package enum ConvolutionAlgorithm: String, Sendable, CaseIterable {
  /// What oneDNN finds fastest: Winograd for 3x3 kernels in fp32 on CPUs with AVX-512, which makes
  /// AlexNet's whole step 1.3 times faster at a rounding error 4 times larger (about 7e-7).
  case auto
  /// The sum as it is written: the same result on every CPU, up to the order of summation.
  case direct
}

/// The convolutional part of a network over a fixed number of examples, forward and backward.
///
/// Everything is chosen and allocated in `init`; a step allocates no tensor. A stack belongs to the
/// one thread that made it: oneDNN plans for that thread's team (`ComputeThreads`).
///
/// A step is: write `input`; for each stage, first to last, `setParameters` and `forward`; read
/// `features`, write `featureGradient`; for each stage, last to first, `backward` and
/// `writeGradient`. With no rows every call returns at once, and gradients are zero.
package final class ConvolutionStack {
  /// The plan's stages.
  package let stages: [ConvolutionalStage]
  /// Examples of a pass.
  package let rows: Int
  /// Whether a backward pass was planned.
  package let training: Bool
  /// Bytes of all tensors: activations, parameters, gradients, scratchpad.
  package let plannedBytes: Int
  /// What oneDNN chose, in the order of the program: ("conv3", "forward jit_wino_4x3:avx512_core").
  package let implementations: [(layer: String, implementation: String)]

  /// `[rows, C, H, W]`, row-major; the caller writes it before the first stage's forward pass and
  /// leaves it until the backward pass is over.
  package let input: UnsafeMutableBufferPointer<Float>
  /// `[rows, C * H * W]`, row-major; valid after the last stage's forward pass until the next one.
  package let features: UnsafeBufferPointer<Float>
  /// `[rows, C * H * W]`, row-major; the caller writes it before the last stage's backward pass,
  /// which leaves it as it is. Empty unless training.
  package let featureGradient: UnsafeMutableBufferPointer<Float>

  /// The plan's tensors keep the memory behind the three buffers alive.
  private let tensors: [Memory]
  private let stream: Stream
  private let forwardProgram: [[Execution]]
  private let backwardProgram: [[Execution]]
  private let parameters: [StageParameters?]

  /// Chooses implementations and allocates all memory: call it on the thread that will compute,
  /// after `ComputeThreads.use`.
  ///
  /// - Parameters:
  ///   - rows: examples of a pass; 0 for a worker whose share is empty.
  ///   - training: `false` plans no backward pass and reuses the activations' memory.
  ///   - precision: of activations, their gradients and the weights that the products read; what
  ///     goes in and out is fp32 in any case, and sums are.
  /// - Throws: `KernelError` naming the layer, if oneDNN cannot compute it or only by its slow
  ///   reference code.
  package init(
    plan: NetworkPlan, rows: Int, training: Bool, algorithm: ConvolutionAlgorithm,
    precision: NumberFormat = .fp32
  ) throws(KernelError) {
    precondition(rows >= 0, "\(rows) rows")
    try KernelLibrary.check(precision)
    stages = plan.stages
    self.rows = rows
    self.training = training
    let engine = try Engine()
    stream = try Stream(engine)
    guard rows > 0 else {
      input = UnsafeMutableBufferPointer(start: nil, count: 0)
      features = UnsafeBufferPointer(start: nil, count: 0)
      featureGradient = input
      (plannedBytes, implementations, tensors) = (0, [], [])
      (forwardProgram, backwardProgram, parameters) = ([], [], [])
      return
    }
    let planner = try StackPlanner(
      stages: stages.count, rows: rows, training: training, algorithm: algorithm,
      precision: precision, engine: engine)
    let source = try planner.memory.kept(try .plain([rows] + plan.input.extents))
    let output = plan.convolutional.last?.output ?? plan.input
    let gradient =
      training ? try planner.memory.kept(try .plain([rows] + output.extents)) : nil
    let result = try planner.plan(plan, input: source, outputGradient: gradient)
    plannedBytes = try planner.allocate()
    implementations = planner.implementations
    tensors = [source, result] + (gradient.map { [$0] } ?? [])
    input = UnsafeMutableBufferPointer(start: source.floats, count: rows * plan.input.count)
    features = UnsafeBufferPointer(start: result.floats, count: rows * plan.features)
    featureGradient = UnsafeMutableBufferPointer(
      start: gradient?.floats, count: gradient == nil ? 0 : rows * plan.features)
    forwardProgram = planner.forward
    backwardProgram = planner.backward
    parameters = planner.parameters
  }

  /// Takes over a stage's parameters; the vector may change afterwards.
  ///
  /// - Parameter vector: `stages[stage].parameterCount` values: the weight in row-major
  ///   `[out, in / groups, kh, kw]` order, then the bias.
  package func setParameters(stage: Int, from vector: UnsafePointer<Float>) {
    guard rows > 0 else { return }
    parameters[stage]?.set(from: vector, on: stream)
  }

  /// Computes a stage; stages go first to last.
  package func forward(stage: Int) {
    guard rows > 0 else { return }
    for execution in forwardProgram[stage] { execution.run(on: stream) }
  }

  /// Computes the gradient of a stage's parameters and of its input; stages go last to first.
  ///
  /// The input of the first convolution gets no gradient: nothing below it learns.
  package func backward(stage: Int) {
    precondition(training, "a stack planned without training has no backward pass")
    guard rows > 0 else { return }
    for execution in backwardProgram[stage] { execution.run(on: stream) }
  }

  /// Writes the gradient of a stage's parameters, summed over the rows, after `backward(stage:)`.
  ///
  /// - Parameter vector: overwritten, in the order of `setParameters`; zeros if there are no rows.
  package func writeGradient(stage: Int, into vector: UnsafeMutablePointer<Float>) {
    precondition(training, "a stack planned without training has no gradients")
    guard rows > 0 else {
      vector.update(repeating: 0, count: stages[stage].parameterCount)
      return
    }
    parameters[stage]?.writeGradient(into: vector, on: stream)
  }
}
