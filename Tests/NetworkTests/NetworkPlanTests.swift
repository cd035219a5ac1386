import Network
import Tensors
import Testing

@Suite struct NetworkPlanTests {
  static func conv(
    _ channels: Int, _ kernel: Int, stride: Int = 1, padding: Int = 0, groups: Int = 1
  ) -> LayerSpec {
    LayerSpec(
      .convolution(
        Convolution(
          channels: channels, kernel: kernel, stride: stride, padding: padding, groups: groups)))
  }

  static func pool(
    _ window: Int, _ stride: Int, padding: Int = 0, ceil: Bool = false,
    _ kind: Pooling.Kind = .max
  ) -> LayerSpec {
    LayerSpec(.pooling(Pooling(kind, window: window, stride: stride, padding: padding, ceil: ceil)))
  }

  static func fc(_ units: Int, _ form: FullyConnected.Form = .auto) -> LayerSpec {
    LayerSpec(.fullyConnected(FullyConnected(units: units, form: form)))
  }

  static let relu = LayerSpec(.activation(.relu))
  static let dropout = LayerSpec(.dropout(Dropout(rate: 0.5)))

  /// Height after one layer of a 1-channel image of `size`.
  static func extent(_ layer: LayerSpec, _ size: Int) throws -> Int {
    try NetworkPlan(input: Shape(1, size, size), layers: [layer, fc(2)]).convolutional[0].output[1]
  }

  @Test(arguments: [
    (11, 4, 2, 224, 55), (11, 4, 0, 227, 55), (11, 4, 0, 224, 54), (5, 1, 2, 27, 27),
    (3, 1, 1, 13, 13), (1, 1, 0, 1, 1), (3, 2, 0, 8, 3), (5, 3, 0, 5, 1), (5, 3, 4, 5, 3),
  ])
  func `a conv layer rounds its positions down`(
    kernel: Int, stride: Int, padding: Int, size: Int, expected: Int
  ) throws {
    #expect(
      try Self.extent(Self.conv(1, kernel, stride: stride, padding: padding), size) == expected)
  }

  // Checked against torch.nn.MaxPool2d(window, stride, padding, ceil_mode=...).
  @Test(arguments: [
    (3, 2, 0, false, 55, 27), (3, 2, 0, true, 55, 27), (3, 2, 0, false, 28, 13),
    (3, 2, 0, true, 28, 14), (2, 2, 0, false, 7, 3), (2, 2, 0, true, 7, 4),
    (3, 2, 1, false, 6, 3), (3, 2, 1, true, 6, 4), (2, 2, 1, true, 4, 3), (2, 2, 1, true, 5, 3),
    (2, 3, 0, true, 3, 1), (3, 3, 1, true, 6, 3), (2, 4, 0, true, 5, 2), (1, 2, 0, true, 4, 2),
  ])
  func `a pool rounds down, or up when asked`(
    window: Int, stride: Int, padding: Int, ceil: Bool, size: Int, expected: Int
  ) throws {
    let layer = Self.pool(window, stride, padding: padding, ceil: ceil)
    #expect(try Self.extent(layer, size) == expected)
  }

  @Test func `the cut falls before the first fc layer, and before dropout in front of it`() throws {
    let plain = try NetworkPlan(
      input: Shape(1, 8, 8),
      layers: [Self.conv(2, 3), Self.relu, Self.pool(2, 2), Self.fc(5), Self.relu, Self.fc(3)])
    #expect(plain.convolutional.map(\.name) == ["conv1", "relu1", "pool1"])
    #expect(plain.fullyConnected.map(\.name) == ["fc2", "relu2", "fc3"])
    #expect(plain.features == 18)
    #expect(plain.classes == 3)
    let dropped = try NetworkPlan(
      input: Shape(1, 8, 8),
      layers: [Self.conv(2, 3), Self.relu, Self.dropout, Self.fc(5), Self.dropout, Self.fc(3)])
    #expect(dropped.fullyConnected.map(\.name) == ["dropout1", "fc2", "dropout2", "fc3"])
    #expect(
      dropped.parameters.entries.map(\.name) == [
        "features.0.weight", "features.0.bias", "classifier.1.weight", "classifier.1.bias",
        "classifier.3.weight", "classifier.3.bias",
      ])
    #expect(dropped.fullyConnected[0].input == Shape(72))
  }

  @Test func `layers without a name take the number of the weighted layer before them`() throws {
    let plan = try NetworkPlan(
      input: Shape(1, 8, 8),
      layers: [
        Self.relu, Self.conv(2, 3), Self.relu, Self.relu,
        LayerSpec(.convolution(Convolution(channels: 2, kernel: 1)), name: "squeeze"), Self.relu,
        Self.fc(3),
      ])
    #expect(
      plan.layers.map(\.name) == ["relu0", "conv1", "relu1", "relu1_2", "squeeze", "relu2", "fc3"])
  }

  @Test func `a network may be fc layers alone`() throws {
    let plan = try NetworkPlan(input: Shape(1, 2, 3), layers: [Self.fc(4)])
    #expect(plan.convolutional.isEmpty)
    #expect(plan.stages.isEmpty)
    #expect(plan.features == 6)
    #expect(plan.parameters.entries.map(\.shape) == [Shape(4, 6), Shape(4)])
  }

  @Test func `stages begin at conv layers and cover every layer once`() throws {
    let plan = try NetworkPlan(
      input: Shape(1, 12, 12),
      layers: [
        Self.relu, Self.conv(2, 3), Self.relu, Self.pool(2, 2), Self.conv(4, 3), Self.fc(3),
      ])
    #expect(plan.stages.map(\.name) == ["input", "conv1", "conv2"])
    #expect(plan.stages.map(\.layers) == [0..<1, 1..<4, 4..<5])
    #expect(plan.stages.map(\.parameterCount) == [0, 2 * 9 + 2, 4 * 2 * 9 + 4])
  }

  @Test func `fan-in is what reaches one output`() throws {
    let plan = try NetworkPlan(
      input: Shape(4, 8, 8), layers: [Self.conv(6, 3, groups: 2), Self.fc(3)])
    #expect(plan.parameters.entries.map(\.fanIn) == [18, 18, 216, 216])
    #expect(
      plan.parameters.entries.map(\.shape) == [
        Shape(6, 2, 3, 3), Shape(6), Shape(3, 216), Shape(3),
      ])
    #expect(plan.parameters.entries.map(\.dense) == [false, false, true, true])
    #expect(plan.multiplyAdds(of: plan.convolutional[0]) == 6 * 36 * 18)
    #expect(plan.multiplyAdds(of: plan.fullyConnected[0]) == 3 * 216)
  }

  static let tooEarly = "no fc layer: the last layer must be an fc with one unit a class"

  @Test(arguments: [
    ([relu], "layers: \(tooEarly)"), ([], "layers: \(tooEarly)"),
    (
      [conv(6, 3, groups: 4), fc(2)],
      "layers[0].groups: 4 groups do not divide the 6 input channels"
    ),
    (
      [conv(4, 3, groups: 3), fc(2)],
      "layers[0].groups: 3 groups do not divide the 4 output channels"
    ),
    (
      [conv(6, 9, padding: 0), fc(2)],
      "layers[0].kernel: 9 is larger than its padded input, 6x8x8 with padding 0"
    ),
    ([conv(0, 3), fc(2)], "layers[0].channels: must be at least 1, not 0"),
    ([conv(6, 3, stride: 0), fc(2)], "layers[0].stride: must be at least 1, not 0"),
    ([conv(6, 3, padding: -1), fc(2)], "layers[0].padding: must not be negative, got -1"),
    ([relu, pool(9, 2), fc(2)], "layers[1].window: 9 is larger than its input, 6x8x8"),
    (
      [pool(3, 2, padding: 2), fc(2)],
      "layers[0].padding: must be between 0 and half the window (3), not 2"
    ),
    ([fc(3), conv(2, 1), fc(2)], "layers[1]: a conv layer cannot follow an fc layer"),
    ([fc(3), pool(1, 1), fc(2)], "layers[1]: a pool layer cannot follow an fc layer"),
    (
      [dropout, conv(2, 1), fc(2)],
      "layers[0]: dropout stands before or after an fc layer, not among the conv layers"
    ),
    (
      [fc(3), relu], "layers[1]: the last layer must be an fc: the loss reads its outputs as logits"
    ),
    ([fc(0)], "layers[0].units: must be at least 1, not 0"),
    (
      [LayerSpec(.dropout(Dropout(rate: 1))), fc(2)],
      "layers[0].rate: must be at least 0 and below 1, not 1.0"
    ),
    (
      [LayerSpec(.localResponseNormalization(LocalResponseNormalization(size: 4))), fc(2)],
      "layers[0].size: must be odd and at least 1, not 4"
    ),
    (
      [LayerSpec(.localResponseNormalization(LocalResponseNormalization(k: 0))), fc(2)],
      "layers[0].k: must be positive, not 0.0"
    ),
    (
      [LayerSpec(.activation(.relu), name: "fc1"), fc(2)],
      "layers[1].name: two layers are called \"fc1\""
    ),
  ])
  func `an impossible network names the layer and the field`(layers: [LayerSpec], expected: String)
  {
    do throws(NetworkError) {
      _ = try NetworkPlan(input: Shape(6, 8, 8), layers: layers)
      Issue.record("accepted: \(layers)")
    } catch {
      #expect(error.description == expected)
    }
  }

  @Test func `an input that is no image is refused`() {
    #expect(throws: NetworkError.self) {
      try NetworkPlan(input: Shape(784), layers: [Self.fc(2)])
    }
  }
}
