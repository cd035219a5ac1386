import Configuration
import Foundation
import Kernels
import Network
import Tensors
import Testing

/// Whole presets against PyTorch: Golden/make_models.py made the numbers, from networks that it
/// writes down itself. Logits and the gradients of all parameters, dropout included.
@Suite(.serialized) struct ModelGoldenTests {
  /// The constants of the script.
  static let (rows, seed, step) = (2, UInt64(20_140_423), UInt64(7))

  struct Case: CustomTestStringConvertible, Sendable {
    /// Of the golden file: the preset, and what is changed in it.
    let name: String
    var overrides: [ConfigurationOverride] = []
    /// What the images are drawn from.
    var images = "images"
    /// Of the largest value, or of the norm.
    var tolerance = 2e-5
    var testDescription: String { name }
  }

  static let cases = [
    Case(name: "alexnet-2012", images: "images 2"), Case(name: "alexnet-caffe"),
    Case(name: "alexnet-owt"),
    Case(name: "alexnet-torchvision"), Case(name: "cifar-4layer"),
    Case(name: "cifar-4layer,logistic", overrides: ["network.loss=logistic"]),
    Case(name: "cifar-relu"), Case(name: "cifar-tanh"),
    Case(name: "vgg-a", overrides: ["network.input=[3, 32, 32]"]),
  ]

  @Test(.timeLimit(.minutes(30)), arguments: cases, ConvolutionAlgorithm.allCases)
  func `logits and all gradients are PyTorch's`(
    _ test: Case, _ algorithm: ConvolutionAlgorithm
  ) throws {
    // Winograd's sums are of larger numbers than its results.
    let tolerance = algorithm == .auto ? 10 * test.tolerance : test.tolerance
    let plan = try Self.plan(test)
    let golden = try Self.golden(test.name)
    #expect(golden.count == plan.parameters.entries.count + 3)
    let stack = try ConvolutionStack(
      plan: plan, rows: Self.rows, training: true, algorithm: algorithm)
    let cut = DenseCut(plan, nodes: 1)
    let slice = DenseSlice(plan: plan, cut: cut, rank: 0, rows: Self.rows, seed: Self.seed)
    for stage in plan.stages {
      stack.setParameters(
        stage: stage.index, from: stage.parameters.flatMap { Self.values(of: $0) })
    }
    for parameter in slice.parameters {
      Self.values(of: parameter.entry).withUnsafeBufferPointer {
        parameter.value.update(from: $0.baseAddress.unsafelyUnwrapped, count: $0.count)
      }
    }
    _ = stack.input.update(
      fromContentsOf: Self.fixed(test.images, Self.rows * plan.input.count, bound: 1.7))

    func compare(_ name: String, _ values: UnsafeBufferPointer<Float>) throws {
      let digest = try #require(golden[name])
      let error = digest.relativeError(of: values)
      #expect(error < tolerance, "\(test.name) \(name)")
    }
    func forward(training: Bool) {
      for stage in plan.stages { stack.forward(stage: stage.index) }
      slice.features.update(
        from: stack.features.baseAddress.unsafelyUnwrapped, count: stack.features.count)
      for row in 0..<Self.rows { slice.labels[row] = Int32((17 + 803 * row) % plan.classes) }
      slice.begin(DensePass(training: training, step: Self.step, examples: Self.rows))
      for segment in 0..<cut.segmentCount(training: training) {
        slice.run(segment: segment, received: [])
      }
    }

    forward(training: true)
    slice.computeParameterGradients()
    _ = stack.featureGradient.update(
      fromContentsOf: UnsafeBufferPointer(
        start: slice.featureGradient, count: stack.featureGradient.count))
    let loss = [Float(slice.lossSum)]
    try loss.withUnsafeBufferPointer { try compare("loss", $0) }
    try compare("logits", slice.logits)
    for parameter in slice.parameters {
      try compare(
        parameter.entry.name,
        UnsafeBufferPointer(start: parameter.gradient, count: parameter.count))
    }
    for stage in plan.stages.reversed() {
      stack.backward(stage: stage.index)
      var gradient = [Float](repeating: 0, count: stage.parameterCount)
      gradient.withUnsafeMutableBufferPointer {
        stack.writeGradient(stage: stage.index, into: $0.baseAddress.unsafelyUnwrapped)
      }
      var offset = 0
      for entry in stage.parameters {
        try gradient.withUnsafeBufferPointer {
          try compare(
            entry.name, UnsafeBufferPointer(rebasing: $0[offset..<offset + entry.shape.count]))
        }
        offset += entry.shape.count
      }
    }
    forward(training: false)
    try compare("evaluation-logits", slice.logits)
  }

  /// The preset's network; its initial values, which the test overwrites, are constants: drawing
  /// sixty million takes long.
  private static func plan(_ test: Case) throws -> NetworkPlan {
    let preset = test.name.split(separator: ",")[0]
    let given = try RunConfiguration.preset(named: String(preset), overrides: test.overrides)
    let layers = given.network.layers.map { layer in
      var layer = layer
      if case .fullyConnected(var full) = layer.operation {
        full.weight = .constant(0)
        layer.operation = .fullyConnected(full)
      }
      return layer
    }
    return try NetworkPlan(
      input: Shape(given.network.input), layers: layers, loss: given.network.loss)
  }

  // MARK: The numbers of the script

  private static func values(of entry: ParameterTable.Entry) -> [Float] {
    fixed(
      entry.name, entry.shape.count,
      bound: entry.kind == .weight ? Float((6 / Double(entry.fanIn)).squareRoot()) : 0.1)
  }

  /// Uniform in +-bound.
  private static func fixed(_ name: String, _ count: Int, bound: Float) -> [Float] {
    let words = Mixed(name)
    return [Float](unsafeUninitializedCapacity: count) { target, initialized in
      for index in 0..<count {
        target[index] = (Float(words[index] >> 8) * 0x1p-23 - 1) * bound
      }
      initialized = count
    }
  }

  /// Murmur3's finalizer of index and name.
  struct Mixed {
    private let hash: UInt32

    init(_ name: String) {
      var hash: UInt32 = 0x811C_9DC5
      for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
      self.hash = hash
    }

    subscript(index: Int) -> UInt32 {
      var x = UInt32(truncatingIfNeeded: index) &* 0x9E37_79B1 &+ hash
      x = (x ^ (x >> 16)) &* 0x85EB_CA6B
      x = (x ^ (x >> 13)) &* 0xC2B2_AE35
      return x ^ (x >> 16)
    }
  }

  /// What the file has of a tensor.
  struct Digest {
    let count: Int
    let norm: Double
    /// With a vector of signs.
    let product: Double
    let samples: [Double]

    /// The largest of: how far the norm is off, and the product, relative to the norm; how far the
    /// values are off, relative to the norm that a value has on average or to the largest of them.
    func relativeError(of values: UnsafeBufferPointer<Float>) -> Double {
      guard values.count == count else { return .infinity }
      let signs = Mixed("sign")
      let places = Mixed("place")
      var (square, product) = (0.0, 0.0)
      for index in 0..<count {
        let value = Double(values[index])
        square += value * value
        product += signs[index] & 1 == 0 ? value : -value
      }
      var worst = max((square.squareRoot() - norm).magnitude, (product - self.product).magnitude)
      worst /= norm
      let scale = max(norm / Double(count).squareRoot(), samples.map(\.magnitude).max() ?? 0)
      for (index, expected) in samples.enumerated() {
        let value = Double(values[Int(places[index]) % count])
        worst = max(worst, (value - expected).magnitude / scale)
      }
      return worst.isNaN ? .infinity : worst
    }
  }

  private static func golden(_ name: String) throws -> [String: Digest] {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Golden/models.txt")
    var digests: [String: Digest] = [:]
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields[0] == name else { continue }
      let numbers = fields.dropFirst(3).compactMap { Double($0) }
      digests[String(fields[1])] = Digest(
        count: try #require(Int(fields[2])), norm: numbers[0], product: numbers[1],
        samples: Array(numbers.dropFirst(2)))
    }
    return digests
  }
}
