import Kernels
import Network
import Tensors
import Testing

@Suite struct BFloat16Tests {
  @Test func `a CPU without bf16 says what it needs and what to do`() throws {
    try KernelLibrary.check(.fp32, available: [.fp32])
    try KernelLibrary.check(.bf16, available: [.fp32, .bf16])
    let error = #expect(throws: KernelError.self) {
      try KernelLibrary.check(.bf16, available: [.fp32])
    }
    #expect(
      error?.description
        == "precision bf16: oneDNN \(KernelLibrary.version) has it only for CPUs with AVX-512,"
        + " which this one is not; set precision: \"fp32\"")
  }

  @Test(.enabled(if: !KernelLibrary.precisions.contains(.bf16)))
  func `a stack in bf16 is refused where the CPU has none`() throws {
    let harness = try StackHarness(
      rows: 1, shape: Shape(3, 8, 8), [.convolution(Convolution(channels: 8, kernel: 3))])
    #expect(throws: KernelError.self) { try harness.run(.auto, precision: .bf16) }
  }
}

/// On CPUs where oneDNN says that it has bf16.
@Suite(.enabled(if: KernelLibrary.precisions.contains(.bf16)))
struct BFloat16StackTests {
  typealias Case = ConvolutionStackTests.Case

  /// A number in bf16 is off by at most 2^-9 of it; operands, outputs and their gradients are
  /// rounded once each, and errors of a sum's terms mostly cancel. Relative to the largest value.
  static let tolerance = 1.5e-2
  /// Of whole networks, by the norm of the difference.
  static let normTolerance = 4e-2
  /// Of gradients behind a ReLU or a maximum: where some half percent of them fall the other way,
  /// the norm of the difference is the root of twice that, a tenth.
  static let closeCallTolerance = 0.2

  private static func compare(
    _ harness: StackHarness, _ distance: ([Float], [Double]) -> Double, _ tolerance: Double,
    gradients gradientTolerance: Double? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let expected = harness.reference()
    let actual = try harness.run(.auto, precision: .bf16)
    let features = distance(actual.features, expected.features)
    #expect(features < tolerance, "features", sourceLocation: sourceLocation)
    for (stage, gradient) in actual.gradients.enumerated() {
      let error = distance(gradient, expected.gradients[stage])
      #expect(
        error < gradientTolerance ?? tolerance, "gradient of stage \(stage)",
        sourceLocation: sourceLocation)
    }
    let inference = try harness.run(.auto, training: false, precision: .bf16)
    #expect(inference.features == actual.features, sourceLocation: sourceLocation)
  }

  @Test(arguments: ConvolutionStackTests.convolutions)
  func `a convolution is its reference up to rounding`(_ given: Case) throws {
    try Self.compare(
      StackHarness(rows: 3, shape: given.shape, given.layers), relativeError, Self.tolerance)
  }

  @Test(arguments: ConvolutionStackTests.normalizations)
  func `a normalization is its reference up to rounding`(_ given: Case) throws {
    try Self.compare(
      StackHarness(rows: 3, shape: given.shape, given.layers), relativeError, Self.tolerance)
  }

  @Test(arguments: ConvolutionStackTests.poolings)
  func `a pooling is its reference but for close calls`(_ given: Case) throws {
    try Self.compare(
      StackHarness(rows: 3, shape: given.shape, given.layers), relativeNorm,
      Self.normTolerance, gradients: Self.closeCallTolerance)
  }

  @Test(arguments: ConvolutionStackTests.networks, [1, 3, 32])
  func `a network is its reference but for close calls`(_ given: Case, _ rows: Int) throws {
    let decides = given.layers.contains {
      switch $0 {
      case .activation(.relu): true
      case .pooling(let pooling): pooling.kind == .max
      default: false
      }
    }
    try Self.compare(
      StackHarness(rows: rows, shape: given.shape, given.layers), relativeNorm,
      Self.normTolerance, gradients: decides ? Self.closeCallTolerance : nil)
  }

  @Test func `the same step gives the same bits`() throws {
    let given = ConvolutionStackTests.networks[0]
    let harness = try StackHarness(rows: 8, shape: given.shape, given.layers)
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 8, training: true, algorithm: .auto, precision: .bf16)
    let first = harness.step(stack)
    let other = try StackHarness(rows: 8, shape: given.shape, given.layers, seed: 2)
    #expect(harness.step(stack) == first)
    #expect(other.step(stack) != first)
    #expect(harness.step(stack) == first, "a step leaves nothing behind")
    #expect(try harness.run(.auto, precision: .bf16) == first, "a new stack computes alike")
  }

  @Test func `a stack in bf16 takes less than three quarters of the memory`() throws {
    let layer = LayerSpec.Operation.convolution(
      Convolution(channels: 64, kernel: 3, padding: 1))
    let harness = try StackHarness(
      rows: 32, shape: Shape(16, 16, 16),
      Array(repeating: [layer, .activation(.relu)], count: 8).flatMap { $0 }
        + [.pooling(Pooling(window: 4, stride: 4))])
    func bytes(_ precision: NumberFormat) throws -> Int {
      try ConvolutionStack(
        plan: harness.plan, rows: 32, training: true, algorithm: .direct, precision: precision
      ).plannedBytes
    }
    #expect(try bytes(.bf16) * 4 < bytes(.fp32) * 3)
  }
}

/// Slices of FC layers on CPUs where oneDNN says that it has bf16.
@Suite(.enabled(if: KernelLibrary.precisions.contains(.bf16)))
struct BFloat16SliceTests {
  /// Operands are off by at most 2^-9 each, over three layers forward and back.
  static let tolerance = 3e-2

  @Test(arguments: DenseSliceTests.cases)
  func `any cut trains like the naive reference up to rounding`(
    _ test: DenseSliceTests.Case
  ) throws {
    let plan = try DenseFixture.plan(test.network, form: test.form)
    let rows = 6
    let cluster = DenseCluster(plan, nodes: test.nodes, rows: rows, precision: .bf16)
    let features = DenseFixture.numbers(rows * plan.features)
    let labels = DenseFixture.labels(rows, classes: plan.classes)
    let pass = DensePass(training: true, step: 41, examples: rows)
    cluster.run(pass, features: features, labels: labels)
    let expected = DenseNetworkReference(plan: plan, seed: 7)
      .run(pass, features: features.map(Double.init), labels: labels)
    for slice in cluster.slices {
      #expect((slice.lossSum - expected.lossSum).magnitude < 1e-2 * expected.lossSum)
    }
    #expect(relativeNorm(cluster.featureGradient, expected.featureGradient) < Self.tolerance)
    for (name, gradient) in cluster.assembled(\.gradient) {
      let wanted = try #require(expected.gradients[name])
      #expect(relativeNorm(gradient, wanted) < Self.tolerance, "\(name)")
    }
    // Had nothing been rounded, the gradients would agree to 4e-6.
    #expect(cluster.slices.contains { !$0.implementations.isEmpty })
    #expect(relativeNorm(cluster.featureGradient, expected.featureGradient) > 1e-4)
  }

  @Test func `new weights are seen by the next pass`() throws {
    let plan = try DenseFixture.plan("dropout first", form: "mixed")
    let features = DenseFixture.numbers(4 * plan.features)
    let labels = DenseFixture.labels(4, classes: plan.classes)
    let pass = DensePass(training: true, step: 9, examples: 4)
    let first = DenseCluster(plan, nodes: 2, rows: 4, seed: 7, precision: .bf16)
    first.run(pass, features: features, labels: labels)
    let other = DenseCluster(plan, nodes: 2, rows: 4, seed: 7, precision: .bf16)
    other.run(pass, features: features, labels: labels)
    #expect(other.featureGradient == first.featureGradient)
    for slice in other.slices {
      for parameter in slice.parameters {
        for index in 0..<parameter.count { parameter.value[index] *= 2 }
      }
    }
    other.run(pass, features: features, labels: labels)
    let changed = DenseCluster(plan, nodes: 2, rows: 4, seed: 7, precision: .bf16)
    for slice in changed.slices {
      for parameter in slice.parameters {
        for index in 0..<parameter.count { parameter.value[index] *= 2 }
      }
    }
    changed.run(pass, features: features, labels: labels)
    #expect(other.featureGradient == changed.featureGradient)
    #expect(other.featureGradient != first.featureGradient)
  }

  @Test func `large products in fp32 and bf16 agree with each other`() throws {
    let plan = try NetworkPlan(
      input: Shape(600, 1, 1),
      layers: [
        LayerSpec(.fullyConnected(FullyConnected(units: 512))), LayerSpec(.activation(.tanh)),
        LayerSpec(.fullyConnected(FullyConnected(units: 100))),
      ])
    let features = DenseFixture.numbers(32 * plan.features)
    let labels = DenseFixture.labels(32, classes: plan.classes)
    let pass = DensePass(training: true, step: 0, examples: 32)
    let full = DenseCluster(plan, nodes: 1, rows: 32)
    full.run(pass, features: features, labels: labels)
    let half = DenseCluster(plan, nodes: 1, rows: 32, precision: .bf16)
    half.run(pass, features: features, labels: labels)
    #expect(half.slices[0].implementations.allSatisfy { $0.implementation.contains("bf16") })
    let gradient = full.featureGradient.map(Double.init)
    #expect(relativeNorm(half.featureGradient, gradient) < 1e-2)
  }
}

/// The norm of the difference, relative to the norm of what was expected; infinite if anything is
/// not a number or the lengths differ.
func relativeNorm(_ actual: [Float], _ expected: [Double]) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (left, right) in zip(actual, expected) {
    guard left.isFinite, right.isFinite else { return .infinity }
    difference += (Double(left) - right) * (Double(left) - right)
    norm += right * right
  }
  return norm == 0 ? difference.squareRoot() : (difference / norm).squareRoot()
}
