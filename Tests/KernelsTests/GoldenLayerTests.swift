import Foundation
import Kernels
import Network
import Tensors
import Testing

/// Layers against PyTorch: Golden/make_layers.py made the numbers.
@Suite struct GoldenLayerTests {
  static let cases: [(name: String, layers: [LayerSpec.Operation])] = [
    ("conv", [conv(8, 3, padding: 1)]),
    ("conv-groups", [conv(8, 3, groups: 2)]),
    ("conv-stride", [conv(8, 5, stride: 4, padding: 2)]),
    ("conv-conv", [conv(8, 3, padding: 1), conv(6, 3, stride: 2, padding: 1, groups: 2)]),
    ("max", [conv(8, 3), .pooling(Pooling(window: 2, stride: 2))]),
    ("max-overlapped", [conv(8, 3), .pooling(Pooling(window: 3, stride: 2))]),
    ("max-padded", [conv(6, 3), .pooling(Pooling(window: 3, stride: 2, padding: 1))]),
    ("max-ceil", [conv(8, 3), .pooling(Pooling(window: 3, stride: 2, ceil: true))]),
    ("average", [conv(8, 3), .pooling(Pooling(.average, window: 2, stride: 2))]),
    ("average-overlapped", [conv(8, 3), .pooling(Pooling(.average, window: 3, stride: 2))]),
    (
      "average-padded", [conv(6, 3), .pooling(Pooling(.average, window: 3, stride: 2, padding: 1))]
    ),
    (
      "average-ceil",
      [conv(8, 3), .pooling(Pooling(.average, window: 3, stride: 2, padding: 1, ceil: true))]
    ),
    ("lrn-divided", [conv(8, 3), lrn(5, alpha: 0.3, beta: 0.75, k: 1, divide: true)]),
    ("lrn-paper", [conv(8, 3), lrn(5, alpha: 0.1, beta: 0.75, k: 2, divide: false)]),
    ("lrn-few-channels", [conv(6, 3), lrn(3, alpha: 0.2, beta: 0.6, k: 2, divide: false)]),
    ("relu", [conv(8, 3), .activation(.relu)]),
    ("tanh", [conv(8, 3), .activation(.tanh)]),
    ("sigmoid", [conv(8, 3), .activation(.sigmoid)]),
    (
      "pool-relu",
      [conv(8, 3), .pooling(Pooling(.average, window: 2, stride: 2)), .activation(.relu)]
    ),
    (
      "stack",
      [
        conv(8, 5, stride: 2, padding: 2), .activation(.relu),
        lrn(5, alpha: 0.1, beta: 0.75, k: 2, divide: false),
        .pooling(Pooling(window: 2, stride: 2)),
        conv(12, 3, padding: 1, groups: 2), .activation(.tanh),
        conv(8, 3, padding: 1), .activation(.sigmoid),
        .pooling(Pooling(.average, window: 2, stride: 2)),
      ]
    ),
    (
      "lrn-within",
      [conv(8, 3), lrn(5, alpha: 0.3, beta: 0.75, k: 2, divide: false, region: .withinChannel)]
    ),
    (
      "lrn-within-divided",
      [conv(16, 3), lrn(3, alpha: 0.4, beta: 0.6, k: 1, divide: true, region: .withinChannel)]
    ),
    ("conv-ceil", [conv(8, 5, stride: 3, ceil: true)]),
  ]

  private static func conv(
    _ channels: Int, _ kernel: Int, stride: Int = 1, padding: Int = 0, ceil: Bool = false,
    groups: Int = 1
  ) -> LayerSpec.Operation {
    .convolution(
      Convolution(
        channels: channels, kernel: kernel, stride: stride, padding: padding, ceil: ceil,
        groups: groups))
  }

  private static func lrn(
    _ size: Int, alpha: Float,
    beta: Float, k: Float, divide: Bool,
    region: LocalResponseNormalization.Region = .acrossChannels
  ) -> LayerSpec.Operation {
    .localResponseNormalization(
      LocalResponseNormalization(
        region: region, size: size, alpha: alpha, beta: beta, k: k, divideBySize: divide))
  }

  /// The tensors of one case.
  struct Golden {
    private var tensors: [String: (extents: [Int], values: [Float])] = [:]

    init(_ name: String) throws {
      let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
      let bytes = try Data(contentsOf: folder.appending(path: "layers.bin"))
      let index = try String(contentsOf: folder.appending(path: "layers.txt"), encoding: .utf8)
      for line in index.split(separator: "\n") {
        let fields = line.split(separator: " ")
        guard fields[0] == name else { continue }
        let offset = try #require(Int(fields[2]))
        let extents = fields[3].split(separator: "x").compactMap { Int($0) }
        let values = (offset..<offset + extents.reduce(1, *)).map { element in
          let word = (0..<4).reduce(UInt32(0)) {
            $0 | UInt32(bytes[4 * element + $1]) << UInt32(8 * $1)
          }
          return Float(bitPattern: word)
        }
        tensors[String(fields[1])] = (extents, values)
      }
    }

    func values(_ tensor: String) throws -> [Float] { try #require(tensors[tensor]).values }
    func extents(_ tensor: String) throws -> [Int] { try #require(tensors[tensor]).extents }
  }

  private static func harness(
    _ golden: Golden, _ layers: [LayerSpec.Operation]
  ) throws -> StackHarness {
    let extents = try golden.extents("input")
    let plan = try NetworkPlan(
      input: Shape(Array(extents.dropFirst())),
      layers: layers.map { LayerSpec($0) } + [LayerSpec(.fullyConnected(.init(units: 2)))])
    return StackHarness(
      plan: plan, rows: extents[0], input: try golden.values("input"),
      vectors: try plan.stages.map { try golden.values("parameters\($0.index)") },
      featureGradient: try golden.values("feature-gradient"))
  }

  @Test(arguments: cases.indices)
  func `the reference is PyTorch`(_ index: Int) throws {
    let (name, layers) = Self.cases[index]
    let golden = try Golden(name)
    let actual = try Self.harness(golden, layers).reference()
    // The golden numbers are rounded to single precision: half of 2^-23.
    let tolerance = 2e-7
    #expect(relativeError(actual.features, try golden.values("features")) < tolerance, "\(name)")
    #expect(
      relativeError(actual.inputGradient, try golden.values("input-gradient")) < tolerance,
      "\(name)")
    for (stage, gradient) in actual.gradients.enumerated() {
      let expected = try golden.values("gradient\(stage)")
      #expect(relativeError(gradient, expected) < tolerance, "\(name) stage \(stage)")
    }
  }

  @Test(arguments: cases.indices, ConvolutionAlgorithm.allCases)
  func `the stack is PyTorch`(_ index: Int, _ algorithm: ConvolutionAlgorithm) throws {
    let (name, layers) = Self.cases[index]
    let golden = try Golden(name)
    let actual = try Self.harness(golden, layers).run(algorithm)
    let tolerance = ConvolutionStackTests.tolerance
    #expect(relativeError(actual.features, try golden.values("features")) < tolerance, "\(name)")
    for (stage, gradient) in actual.gradients.enumerated() {
      let expected = try golden.values("gradient\(stage)")
      #expect(relativeError(gradient, expected) < tolerance, "\(name) stage \(stage)")
    }
  }
}
