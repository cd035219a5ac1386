import Kernels
import Network
import Tensors
import Testing

@Suite struct ConvolutionStackTests {
  /// Rounding of sums in single precision, relative to the largest value: direct sums stay below
  /// 1e-6 here, Winograd's transforms lose about four times more.
  static let tolerance = 5e-6

  /// A stack to compare with its reference.
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let shape: Shape
    let layers: [LayerSpec.Operation]

    init(_ name: String, _ shape: Shape, _ layers: [LayerSpec.Operation]) {
      testDescription = name
      self.shape = shape
      self.layers = layers
    }
  }

  private static func compare(
    _ harness: StackHarness, _ algorithms: [ConvolutionAlgorithm],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let expected = harness.reference()
    for algorithm in algorithms {
      try compare(harness, algorithm, expected, sourceLocation)
    }
  }

  private static func compare(
    _ harness: StackHarness, _ algorithm: ConvolutionAlgorithm, _ expected: StackHarness.Expected,
    _ sourceLocation: SourceLocation
  ) throws {
    let actual = try harness.run(algorithm)
    let features = relativeError(actual.features, expected.features)
    #expect(features < tolerance, "features", sourceLocation: sourceLocation)
    for (stage, gradient) in actual.gradients.enumerated() {
      let error = relativeError(gradient, expected.gradients[stage])
      #expect(error < tolerance, "gradient of stage \(stage)", sourceLocation: sourceLocation)
    }
    // Without a backward pass activations share memory; the numbers are the same to the bit.
    let inference = try harness.run(algorithm, training: false)
    #expect(inference.features == actual.features, sourceLocation: sourceLocation)
  }

  /// A lower convolution, so that the one under test has an input gradient to make.
  private static let lead = LayerSpec.Operation.convolution(
    Convolution(channels: 8, kernel: 3, padding: 1))

  static let convolutions: [Case] = {
    var cases: [Case] = []
    for (kernel, padding) in [(1, 0), (3, 0), (3, 1), (5, 2)] {
      for stride in [1, 2, 4] {
        for (channels, groups) in [(16, 1), (10, 1), (32, 2), (12, 4), (8, 8)] {
          cases.append(
            Case(
              "kernel \(kernel) padding \(padding) stride \(stride) "
                + "\(channels) channels in \(groups) groups", Shape(3, 11, 9),
              [
                lead,
                .convolution(
                  Convolution(
                    channels: channels, kernel: kernel, stride: stride, padding: padding,
                    groups: groups)),
              ]))
        }
      }
    }
    for (kernel, padding, stride) in [(3, 0, 2), (3, 1, 4), (5, 2, 3), (2, 0, 4)] {
      for (channels, groups) in [(16, 1), (12, 4)] {
        cases.append(
          Case(
            "kernel \(kernel) padding \(padding) stride \(stride) \(channels) channels in"
              + " \(groups) groups, rounded up", Shape(3, 12, 10),
            [
              lead,
              .convolution(
                Convolution(
                  channels: channels, kernel: kernel, stride: stride, padding: padding, ceil: true,
                  groups: groups)),
            ]))
      }
    }
    return cases
  }()

  @Test(arguments: convolutions, ConvolutionAlgorithm.allCases)
  func `a convolution is its reference`(_ given: Case, _ algorithm: ConvolutionAlgorithm) throws {
    try Self.compare(StackHarness(rows: 3, shape: given.shape, given.layers), [algorithm])
  }

  static let poolings: [Case] = {
    var cases: [Case] = []
    for kind in [Pooling.Kind.max, .average] {
      for (window, stride, padding) in [
        (2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 0), (4, 3, 2), (5, 1, 2),
      ] {
        for ceil in [false, true] {
          for channels in [16, 5] {
            let pooling = Pooling(
              kind, window: window, stride: stride, padding: padding, ceil: ceil)
            cases.append(
              Case(
                "\(kind) \(window)/\(stride) padding \(padding)\(ceil ? " ceil" : "") "
                  + "\(channels) channels", Shape(3, 12, 9),
                [
                  .convolution(Convolution(channels: channels, kernel: 3, padding: 1)),
                  .pooling(pooling),
                ]))
          }
        }
      }
    }
    return cases
  }()

  @Test(arguments: poolings)
  func `a pooling is its reference`(_ given: Case) throws {
    try Self.compare(StackHarness(rows: 3, shape: given.shape, given.layers), [.direct])
  }

  @Test(arguments: [8, 16, 5])
  func `among equal maxima the first gets the gradient`(_ channels: Int) throws {
    let random = try StackHarness(
      rows: 2, shape: Shape(1, 11, 11),
      [
        .convolution(Convolution(channels: channels, kernel: 3, padding: 1)),
        .pooling(Pooling(window: 3, stride: 2, padding: 1)),
      ])
    // The convolution copies inputs of -1, 0 and 1: ties in nearly every window. The gradient of
    // its outer taps tells which of the equal ones was chosen.
    let harness = StackHarness(
      plan: random.plan, rows: 2, input: random.input.map { ($0 * 1.5).rounded() },
      vectors: [
        (0..<10 * channels).map { $0 < 9 * channels && $0 % 9 == 4 ? 1 : 0 }
      ], featureGradient: random.featureGradient)
    try Self.compare(harness, [.direct])
  }

  static let normalizations: [Case] = [3, 5, 7].flatMap { size in
    [(16, Float(0.75)), (32, 0.75), (10, 0.75), (16, 0.5), (4, 0.75), (64, 0.75)].flatMap {
      channels, beta in
      [true, false].map { divide in
        Case(
          "size \(size) beta \(beta) \(channels) channels\(divide ? " divided" : "")",
          Shape(3, 7, 6),
          [
            .convolution(Convolution(channels: channels, kernel: 3)),
            .localResponseNormalization(
              LocalResponseNormalization(
                size: size, alpha: 0.2, beta: beta, k: 2, divideBySize: divide)),
          ])
      }
    }
  }

  @Test(arguments: normalizations)
  func `a normalization is its reference`(_ given: Case) throws {
    try Self.compare(StackHarness(rows: 3, shape: given.shape, given.layers), [.direct])
  }

  @Test(arguments: Activation.allCases, [8, 5])
  func `an activation is its reference wherever it stands`(
    _ activation: Activation, _ channels: Int
  ) throws {
    let convolution = LayerSpec.Operation.convolution(
      Convolution(channels: channels, kernel: 3))
    let pooling = LayerSpec.Operation.pooling(Pooling(.average, window: 2, stride: 2))
    let shape = Shape(3, 8, 8)
    for layers in [
      [convolution, .activation(activation)],
      [convolution, pooling, .activation(activation)],
      [convolution, .activation(activation), .activation(activation)],
      [convolution, .activation(.relu), .activation(activation), convolution],
      [.activation(activation), convolution],
    ] {
      try Self.compare(StackHarness(rows: 3, shape: shape, layers), [.direct])
    }
  }

  static let networks = [
    Case(
      "2012 paper", Shape(3, 33, 33),
      [
        .convolution(Convolution(channels: 16, kernel: 11, stride: 4, padding: 2)),
        .activation(.relu), .localResponseNormalization(LocalResponseNormalization()),
        .pooling(Pooling(window: 3, stride: 2)),
        .convolution(Convolution(channels: 32, kernel: 5, padding: 2, groups: 2)),
        .activation(.relu), .localResponseNormalization(LocalResponseNormalization()),
        .convolution(Convolution(channels: 48, kernel: 3, padding: 1)), .activation(.relu),
        .convolution(Convolution(channels: 32, kernel: 3, padding: 1, groups: 2)),
        .activation(.relu), .pooling(Pooling(window: 3, stride: 2)),
      ]),
    Case(
      "2012 paper's code", Shape(3, 40, 32),
      [
        .convolution(Convolution(channels: 16, kernel: 11, stride: 4, ceil: true)),
        .activation(.relu), .pooling(Pooling(window: 3, stride: 2)),
        .convolution(Convolution(channels: 32, kernel: 5, padding: 2, groups: 2)),
        .activation(.relu),
      ]),
    Case(
      "normalization after pooling", Shape(3, 24, 20),
      [
        .convolution(Convolution(channels: 16, kernel: 5, padding: 2)),
        .pooling(Pooling(window: 3, stride: 2, ceil: true)), .activation(.relu),
        .localResponseNormalization(LocalResponseNormalization(size: 3, alpha: 5e-5)),
        .convolution(Convolution(channels: 16, kernel: 5, padding: 2)), .activation(.relu),
        .pooling(Pooling(.average, window: 3, stride: 2, ceil: true)),
      ]),
    Case(
      "LeNet", Shape(1, 28, 28),
      [
        .convolution(Convolution(channels: 6, kernel: 5, padding: 2)), .activation(.tanh),
        .pooling(Pooling(.average, window: 2, stride: 2)),
        .convolution(Convolution(channels: 16, kernel: 5)), .activation(.sigmoid),
        .pooling(Pooling(.average, window: 2, stride: 2)),
      ]),
    Case(
      "layers before the first convolution", Shape(3, 20, 20),
      [
        .pooling(Pooling(window: 2, stride: 2)), .activation(.tanh),
        .convolution(Convolution(channels: 12, kernel: 3)), .activation(.relu),
      ]),
    Case("no parameters", Shape(3, 8, 8), [.pooling(Pooling(window: 2, stride: 2))]),
    Case("no layers", Shape(3, 8, 8), []),
  ]

  @Test(arguments: networks, [1, 3, 32])
  func `a network is its reference`(_ given: Case, _ rows: Int) throws {
    let harness = try StackHarness(rows: rows, shape: given.shape, given.layers)
    try Self.compare(harness, ConvolutionAlgorithm.allCases)
  }

  /// Large enough for oneDNN to choose Winograd.
  @Test func `Winograd agrees with the direct sum`() throws {
    let harness = try StackHarness(
      rows: 16, shape: Shape(32, 13, 13),
      [
        .convolution(Convolution(channels: 64, kernel: 3, padding: 1)), .activation(.relu),
        .convolution(Convolution(channels: 64, kernel: 3, padding: 1)), .activation(.relu),
      ])
    let automatic = try harness.run(.auto)
    let direct = try harness.run(.direct)
    #expect(relativeError(automatic.features, direct.features) < Self.tolerance)
    for (left, right) in zip(automatic.gradients, direct.gradients) {
      #expect(relativeError(left, right) < Self.tolerance)
    }
  }

  @Test(arguments: ConvolutionAlgorithm.allCases)
  func `the same step gives the same bits`(_ algorithm: ConvolutionAlgorithm) throws {
    let given = Self.networks[0]
    let harness = try StackHarness(rows: 8, shape: given.shape, given.layers)
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 8, training: true, algorithm: algorithm)
    let first = harness.step(stack)
    let other = try StackHarness(rows: 8, shape: given.shape, given.layers, seed: 2)
    let between = other.step(stack)
    #expect(harness.step(stack) == first, "a step leaves nothing behind")
    #expect(between != first)
    #expect(try harness.run(algorithm) == first, "a new stack computes alike")
  }

  @Test func `no rows cost nothing and have a gradient of zero`() throws {
    let given = Self.networks[0]
    let harness = try StackHarness(rows: 0, shape: given.shape, given.layers)
    let outcome = try harness.run(.auto)
    #expect(outcome.features.isEmpty)
    #expect(outcome.gradients.map(\.count) == harness.plan.stages.map(\.parameterCount))
    #expect(outcome.gradients.allSatisfy { $0.allSatisfy { $0 == 0 } })
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 0, training: true, algorithm: .auto)
    #expect(stack.plannedBytes == 0)
  }

  @Test func `without layers the features are the input`() throws {
    let harness = try StackHarness(rows: 2, shape: Shape(2, 3, 3), [])
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 2, training: true, algorithm: .auto)
    #expect(stack.features.baseAddress == UnsafePointer(stack.input.baseAddress))
    #expect(stack.featureGradient.count == 36)
    #expect(stack.stages.isEmpty)
  }

  @Test(arguments: Activation.allCases, [6, 16])
  func `the backward pass leaves the caller's buffers alone`(
    _ activation: Activation, _ channels: Int
  ) throws {
    // Six channels in two groups stay in plain layout: no reorder shields the caller's buffers.
    let harness = try StackHarness(
      rows: 3, shape: Shape(4, 8, 8),
      [
        .convolution(Convolution(channels: channels, kernel: 3, groups: 2)),
        .activation(activation),
      ])
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 3, training: true, algorithm: .auto)
    let outcome = harness.step(stack)
    #expect(Array(stack.input) == harness.input)
    #expect(Array(stack.featureGradient) == harness.featureGradient)
    #expect(Array(stack.features) == outcome.features)
  }

  @Test func `evaluation plans less memory than training`() throws {
    let given = Self.networks[0]
    let harness = try StackHarness(rows: 32, shape: given.shape, given.layers)
    let training = try ConvolutionStack(
      plan: harness.plan, rows: 32, training: true, algorithm: .direct)
    let evaluation = try ConvolutionStack(
      plan: harness.plan, rows: 32, training: false, algorithm: .direct)
    #expect(evaluation.plannedBytes * 3 < training.plannedBytes * 2)
    #expect(evaluation.featureGradient.isEmpty)
  }

  @Test func `normalization takes memory for one layer and not for each`() throws {
    func plannedBytes(normalized: Bool) throws -> Int {
      var layers: [LayerSpec.Operation] = []
      for _ in 0..<3 {
        layers += [
          .convolution(Convolution(channels: 16, kernel: 3, padding: 1)), .activation(.relu),
        ]
        if normalized { layers.append(.localResponseNormalization(LocalResponseNormalization())) }
        layers.append(.pooling(Pooling(.max, window: 3, stride: 1, padding: 1)))
      }
      let harness = try StackHarness(rows: 16, shape: Shape(16, 32, 32), layers)
      return try ConvolutionStack(
        plan: harness.plan, rows: 16, training: true, algorithm: .direct
      ).plannedBytes
    }
    let output = 16 * 16 * 32 * 32 * 4
    // Of what it notes down, and that is twice its output at most: the outputs lie among gradients.
    let more = try plannedBytes(normalized: true) - plannedBytes(normalized: false)
    #expect(more <= 2 * output + output / 4, "\(more) bytes, an output has \(output)")
  }

  @Test func `every primitive is listed and no convolution is reference code`() throws {
    let given = Self.networks[0]
    let harness = try StackHarness(rows: 3, shape: given.shape, given.layers)
    let stack = try ConvolutionStack(
      plan: harness.plan, rows: 3, training: true, algorithm: .auto)
    let convolutions = stack.implementations.filter { $0.layer.hasPrefix("conv") }
    for name in ["conv1", "conv2", "conv3", "conv4"] {
      let passes = convolutions.filter { $0.layer == name }.count
      #expect(passes == (name == "conv1" ? 2 : 3), "\(name)")
    }
    #expect(!convolutions.contains { $0.implementation.contains(" ref") })
  }
}
