import Configuration
import Network
import Tensors
import Testing

/// What the papers and the implementations of reference say about AlexNet's size : the
/// numbers come from the 2012 paper (section 3.5), torchvision's model and Caffe's prototxt.
@Suite struct AlexNetTests {
  static func plan(_ name: String) throws -> NetworkPlan {
    try RunConfiguration.preset(named: name).networkPlan()
  }

  static func layer(_ name: String, of plan: NetworkPlan) throws -> NetworkPlan.Layer {
    try #require(plan.layers.first { $0.name == name })
  }

  static func multiplyAdds(_ plan: NetworkPlan, _ layers: [NetworkPlan.Layer]) -> Int {
    layers.reduce(0) { $0 + plan.multiplyAdds(of: $1) }
  }

  @Test(arguments: [
    ("alexnet-2012", 60_965_224, 2_334_080, 724_406_816, 665_784_864),
    ("alexnet-caffe", 60_965_224, 2_334_080, 724_406_816, 665_784_864),
    ("alexnet-owt", 61_100_840, 2_469_696, 714_188_480, 655_566_528),
    ("alexnet-torchvision", 61_100_840, 2_469_696, 714_188_480, 655_566_528),
  ])
  func `parameters and multiply-adds are the published ones`(
    name: String, parameters: Int, convParameters: Int, multiplyAdds: Int, convMultiplyAdds: Int
  ) throws {
    let plan = try Self.plan(name)
    #expect(plan.parameters.count == parameters)
    #expect(plan.stages.reduce(0) { $0 + $1.parameterCount } == convParameters)
    #expect(Self.multiplyAdds(plan, plan.layers) == multiplyAdds)
    #expect(Self.multiplyAdds(plan, plan.convolutional) == convMultiplyAdds)
    #expect(plan.features == 9216)
    #expect(plan.classes == 1000)
  }

  /// 2012, section 3.5 and figure 2; 48 and 192 input channels are the towers.
  @Test(arguments: [
    ("conv1", [96, 3, 11, 11], [96, 55, 55], 105_415_200),
    ("conv2", [256, 48, 5, 5], [256, 27, 27], 223_948_800),
    ("conv3", [384, 256, 3, 3], [384, 13, 13], 149_520_384),
    ("conv4", [384, 192, 3, 3], [384, 13, 13], 112_140_288),
    ("conv5", [256, 192, 3, 3], [256, 13, 13], 74_760_192),
    ("fc6", [4096, 9216], [4096], 37_748_736),
    ("fc7", [4096, 4096], [4096], 16_777_216),
    ("fc8", [1000, 4096], [1000], 4_096_000),
  ])
  func `the two towers have the shapes of 2012`(
    name: String, weight: [Int], output: [Int], multiplyAdds: Int
  ) throws {
    for preset in ["alexnet-2012", "alexnet-caffe"] {
      let plan = try Self.plan(preset)
      let layer = try Self.layer(name, of: plan)
      let entry = try #require(plan.parameters.entries(ofLayer: layer.index).first)
      #expect(entry.shape == Shape(weight))
      #expect(layer.output == Shape(output))
      #expect(plan.multiplyAdds(of: layer) == multiplyAdds)
    }
  }

  @Test(arguments: [
    ("conv1", [64, 3, 11, 11], [64, 55, 55], 70_276_800),
    ("conv2", [192, 64, 5, 5], [192, 27, 27], 223_948_800),
    ("conv3", [384, 192, 3, 3], [384, 13, 13], 112_140_288),
    ("conv4", [256, 384, 3, 3], [256, 13, 13], 149_520_384),
    ("conv5", [256, 256, 3, 3], [256, 13, 13], 99_680_256),
    ("fc6", [4096, 9216], [4096], 37_748_736),
    ("fc7", [4096, 4096], [4096], 16_777_216),
    ("fc8", [1000, 4096], [1000], 4_096_000),
  ])
  func `the single tower has the shapes of 2014`(
    name: String, weight: [Int], output: [Int], multiplyAdds: Int
  ) throws {
    for preset in ["alexnet-owt", "alexnet-torchvision"] {
      let plan = try Self.plan(preset)
      let layer = try Self.layer(name, of: plan)
      let entry = try #require(plan.parameters.entries(ofLayer: layer.index).first)
      #expect(entry.shape == Shape(weight))
      #expect(layer.output == Shape(output))
      #expect(plan.multiplyAdds(of: layer) == multiplyAdds)
    }
  }

  /// 2012, abstract ("650,000 neurons") and figure 2, with 55x55x96 where the figure has 253,440.
  @Test func `the neurons of 2012 are the abstract's 650,000`() throws {
    let plan = try Self.plan("alexnet-2012")
    let neurons = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"].map { name in
      plan.layers.first { $0.name == name }?.output.count ?? 0
    }
    #expect(neurons == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000])
    #expect(neurons.reduce(0, +) == 659_272)
  }

  @Test(arguments: ["alexnet-2012", "alexnet-caffe", "alexnet-owt", "alexnet-torchvision"])
  func `overlapped pooling gives 27, 13 and 6`(name: String) throws {
    let pools = try Self.plan(name).convolutional.compactMap { layer -> Int? in
      guard case .pooling(let pooling) = layer.operation else { return nil }
      #expect(pooling.window == 3)
      #expect(pooling.stride == 2)
      return layer.output[1]
    }
    #expect(pools == [27, 13, 6])
  }

  /// 2014, section 2: ~95 % of the parameters are in the fc layers, 90-95 % of the arithmetic in
  /// the conv layers. The whole design stands on this.
  @Test(arguments: ["alexnet-2012", "alexnet-owt"])
  func `the parameters are in the fc layers and the arithmetic in the conv layers`(
    name: String
  ) throws {
    let plan = try Self.plan(name)
    let dense = plan.parameters.entries.filter(\.dense).reduce(0) { $0 + $1.shape.count }
    #expect(Double(dense) / Double(plan.parameters.count) > 0.95)
    let share =
      Double(Self.multiplyAdds(plan, plan.convolutional))
      / Double(Self.multiplyAdds(plan, plan.layers))
    #expect(share > 0.90 && share < 0.95)
  }

  /// 2014, section 5: "+0.2 %", which holds with 256 channels in conv4, not with the text's 384.
  @Test func `the single tower has 0.2 % more parameters than the two`() throws {
    let ratio =
      try Double(Self.plan("alexnet-owt").parameters.count)
      / Double(Self.plan("alexnet-2012").parameters.count)
    #expect(abs(ratio - 1.0022) < 0.0001)
  }

  @Test(arguments: ["alexnet-owt", "alexnet-torchvision"])
  func `shapes do not depend on where dropout and normalization stand`(name: String) throws {
    let shapes = try Self.plan(name).parameters.entries.map(\.shape)
    #expect(shapes == (try Self.plan("alexnet-torchvision")).parameters.entries.map(\.shape))
  }

  @Test func `parameters are called as in torchvision's alexnet`() throws {
    let names = try Self.plan("alexnet-torchvision").parameters.entries.map(\.name)
    let layers = [
      "features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1",
      "classifier.4", "classifier.6",
    ]
    #expect(names == layers.flatMap { ["\($0).weight", "\($0).bias"] })
  }

  /// 2012, section 5: biases 1 in conv2, conv4, conv5 and the hidden fc layers, weights of 0.01.
  /// cuda-convnet2's layer.py: `1 + ceil((2 p + n - k) / s)`.
  @Test func `224 pixels without padding give 55 positions as in the author's code`() throws {
    let plan = try RunConfiguration.preset(
      named: "alexnet-2012",
      overrides: ["network.input=[3, 224, 224]", "network.layers[0].ceil=true"]
    ).networkPlan()
    #expect(plan.convolutional[0].output == Shape(96, 55, 55))
    #expect(plan.parameters.count == 60_965_224)
    let down = try RunConfiguration.preset(
      named: "alexnet-2012", overrides: ["network.input=[3, 224, 224]"]
    ).networkPlan()
    #expect(down.convolutional[0].output == Shape(96, 54, 54))
  }

  @Test func `initial values are the paper's, and Caffe's where Caffe differs`() throws {
    func initial(_ preset: String) throws -> (weights: [Initializer], biases: [Initializer]) {
      let entries = try Self.plan(preset).parameters.entries
      return (
        entries.filter { $0.kind == .weight }.map(\.initial),
        entries.filter { $0.kind == .bias }.map(\.initial)
      )
    }
    func constants(_ values: [Float]) -> [Initializer] { values.map(Initializer.constant) }
    func normals(_ values: [Float]) -> [Initializer] { values.map(Initializer.normal) }

    let paper = try initial("alexnet-2012")
    #expect(paper.weights == normals(Array(repeating: 0.01, count: 8)))
    #expect(paper.biases == constants([0, 1, 0, 1, 1, 1, 1, 0]))
    let caffe = try initial("alexnet-caffe")
    #expect(caffe.weights == normals([0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01]))
    #expect(caffe.biases == constants([0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]))
    let weird = try initial("alexnet-owt")
    #expect(weird.weights == normals([0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]))
    #expect(weird.biases == constants([0, 1, 0, 1, 1, 1, 1, 0]))
  }

  /// The conventions that differ silently (docs/deviations.md).
  @Test func `normalization and dropout follow each source's convention`() throws {
    func normalizations(_ preset: String) throws -> [LocalResponseNormalization] {
      try Self.plan(preset).convolutional.compactMap { layer in
        if case .localResponseNormalization(let lrn) = layer.operation { lrn } else { nil }
      }
    }
    func dropouts(_ preset: String) throws -> [String] {
      try Self.plan(preset).fullyConnected.compactMap { layer in
        guard case .dropout(let dropout) = layer.operation else { return nil }
        #expect(dropout.rate == 0.5)
        return "\(layer.index) \(dropout.scale)"
      }
    }
    func lrn(k: Float, divided: Bool) -> [LocalResponseNormalization] {
      Array(
        repeating: .init(size: 5, alpha: 1e-4, beta: 0.75, k: k, divideBySize: divided), count: 2)
    }
    #expect(try normalizations("alexnet-2012") == lrn(k: 2, divided: false))
    #expect(try normalizations("alexnet-owt") == lrn(k: 2, divided: true))
    #expect(try normalizations("alexnet-caffe") == lrn(k: 1, divided: true))
    #expect(try normalizations("alexnet-torchvision") == [])
    #expect(try dropouts("alexnet-2012") == ["17 evaluation", "20 evaluation"])
    #expect(try dropouts("alexnet-owt") == ["17 evaluation", "20 evaluation"])
    #expect(try dropouts("alexnet-caffe") == ["17 training", "20 training"])
    // On the inputs of fc6 and fc7, none behind fc7.
    #expect(try dropouts("alexnet-torchvision") == ["13 training", "16 training"])
  }

  @Test func `LeNet-5 has 61,706 parameters`() throws {
    let plan = try Self.plan("lenet5")
    #expect(plan.parameters.count == 61_706)
    #expect(try Self.layer("C5", of: plan).output == Shape(120, 1, 1))
  }
}
