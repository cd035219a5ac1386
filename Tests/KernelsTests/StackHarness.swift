import Kernels
import Network
import Tensors

/// Runs the same numbers through a `ConvolutionStack` and its reference.
struct StackHarness {
  let plan: NetworkPlan
  let rows: Int
  let input: [Float]
  /// One a stage: weight elements, then bias elements.
  let vectors: [[Float]]
  let featureGradient: [Float]

  struct Outcome: Equatable {
    var features: [Float]
    /// One a stage; empty for stages without parameters.
    var gradients: [[Float]]
  }

  struct Expected {
    var features: [Double]
    var gradients: [[Double]]
    var inputGradient: [Double]
  }

  /// - Parameters:
  ///   - shape: `[C, H, W]` of one example.
  ///   - layers: of the convolutional part.
  init(rows: Int, shape: Shape, _ layers: [LayerSpec.Operation], seed: UInt64 = 1) throws {
    let specs = layers.map { LayerSpec($0) } + [LayerSpec(.fullyConnected(.init(units: 2)))]
    let plan = try NetworkPlan(input: shape, layers: specs)
    self.plan = plan
    self.rows = rows
    input = Self.random(rows * shape.count, seed, "input")
    featureGradient = Self.random(rows * plan.features, seed, "feature gradient")
    vectors = plan.stages.map { stage in
      let fanIn = stage.parameters.first?.fanIn ?? 1
      return Self.random(stage.parameterCount, seed, stage.name).map {
        $0 * 2 / Float(fanIn).squareRoot()
      }
    }
  }

  init(
    plan: NetworkPlan, rows: Int, input: [Float], vectors: [[Float]], featureGradient: [Float]
  ) {
    self.plan = plan
    self.rows = rows
    self.input = input
    self.vectors = vectors
    self.featureGradient = featureGradient
  }

  /// Uniform in (-1, 1).
  static func random(_ count: Int, _ seed: UInt64, _ name: String) -> [Float] {
    let stream = RandomStream(seed: seed, purpose: .synthetic, name: name)
    return (0..<count).map { 2 * RandomStream.uniform(stream.word(at: UInt64($0))) - 1 }
  }

  /// One step of a new stack; with `training: false` without gradients.
  func run(
    _ algorithm: ConvolutionAlgorithm, training: Bool = true, precision: NumberFormat = .fp32
  ) throws -> Outcome {
    step(
      try ConvolutionStack(
        plan: plan, rows: rows, training: training, algorithm: algorithm, precision: precision))
  }

  /// One step of a given stack.
  func step(_ stack: ConvolutionStack) -> Outcome {
    _ = stack.input.update(fromContentsOf: input)
    for stage in stack.stages {
      // At an odd address, as chunks of a message may be.
      var vector = [Float(0)] + vectors[stage.index]
      vector.withUnsafeMutableBufferPointer {
        stack.setParameters(stage: stage.index, from: $0.baseAddress.unsafelyUnwrapped + 1)
        // The stack may not read the caller's vector later.
        $0.update(repeating: .nan)
      }
      stack.forward(stage: stage.index)
    }
    let features = Array(stack.features)
    var gradients = [[Float]](repeating: [], count: stack.stages.count)
    guard stack.training else { return Outcome(features: features, gradients: gradients) }
    _ = stack.featureGradient.update(fromContentsOf: featureGradient)
    for stage in stack.stages.reversed() {
      stack.backward(stage: stage.index)
      var gradient = [Float](repeating: .nan, count: stage.parameterCount + 1)
      gradient.withUnsafeMutableBufferPointer {
        stack.writeGradient(stage: stage.index, into: $0.baseAddress.unsafelyUnwrapped + 1)
      }
      gradients[stage.index] = Array(gradient.dropFirst())
    }
    return Outcome(features: features, gradients: gradients)
  }

  /// The same step by the reference layers.
  func reference() -> Expected {
    let reference = ReferenceStack(plan, vectors: vectors.map { $0.map(Double.init) })
    let activations = reference.forward(images(input, plan.input))
    let last = plan.convolutional.last?.output ?? plan.input
    let (parameters, inputGradient) = reference.backward(
      activations, featureGradient: images(featureGradient, last))
    return Expected(
      features: activations[activations.count - 1].values,
      gradients: plan.stages.map { parameters[$0.layers.lowerBound] },
      inputGradient: inputGradient.values)
  }

  private func images(_ values: [Float], _ shape: Shape) -> ReferenceImages {
    ReferenceImages(
      rows: rows, channels: shape[0], height: shape[1], width: shape[2],
      values: values.map(Double.init))
  }
}

/// Largest difference, relative to the largest expected magnitude; infinite if anything is not a
/// number or the lengths differ.
func relativeError<Actual: BinaryFloatingPoint, Expected: BinaryFloatingPoint>(
  _ actual: [Actual], _ expected: [Expected]
) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var worst = 0.0
  var magnitude = 0.0
  for (left, right) in zip(actual, expected) {
    guard left.isFinite, right.isFinite else { return .infinity }
    worst = max(worst, abs(Double(left) - Double(right)))
    magnitude = max(magnitude, abs(Double(right)))
  }
  return magnitude == 0 ? worst : worst / magnitude
}
