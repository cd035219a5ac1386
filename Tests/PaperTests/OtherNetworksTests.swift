import Configuration
import Network
import Tensors
import Testing

/// The networks besides AlexNet: sizes as their sources give them.
@Suite struct OtherNetworksTests {
  /// Simonyan and Zisserman 2014, table 2, to the unit as torchvision counts them; of configuration
  /// C, which torchvision has not, table 2's 134 million.
  @Test(arguments: [
    ("vgg-a", 11, 132_863_336), ("vgg-b", 13, 133_047_848), ("vgg-c", 16, 133_638_952),
    ("vgg-d", 16, 138_357_544), ("vgg-e", 19, 143_667_240),
  ])
  func `VGG has its published sizes`(name: String, weighted: Int, parameters: Int) throws {
    let plan = try AlexNetTests.plan(name)
    #expect(plan.parameters.count == parameters)
    #expect(plan.parameters.entries.count == 2 * weighted)
    #expect(plan.features == 512 * 7 * 7)
    #expect(plan.classes == 1000)
  }

  @Test func `VGG-16's parameters are called as in torchvision`() throws {
    let names = try AlexNetTests.plan("vgg-d").parameters.entries.filter { $0.kind == .weight }
      .map { String($0.name.dropLast(".weight".count)) }
    #expect(
      names
        == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].map { "features.\($0)" }
        + [0, 3, 6].map { "classifier.\($0)" })
  }

  /// cuda-convnet rounds the sizes of pools up: 32, 16, 8.
  @Test(arguments: ["cifar-4layer", "cifar-4layer-nolrn"])
  func `the CIFAR network of section 3.3 has the author's layers`(name: String) throws {
    let plan = try AlexNetTests.plan(name)
    #expect(
      plan.parameters.entries.filter { $0.kind == .weight }.map(\.shape) == [
        Shape(64, 3, 5, 5), Shape(64, 64, 5, 5), Shape(32, 64, 3, 3), Shape(32, 32, 3, 3),
        Shape(10, 2048),
      ])
    #expect(plan.parameters.count == 155_530)
    let normalizations = plan.layers.filter {
      if case .localResponseNormalization = $0.operation { true } else { false }
    }
    #expect(normalizations.count == (name == "cifar-4layer" ? 2 : 0))
  }

  /// 2012, figure 1: "an equivalent network with tanh neurons".
  @Test func `the networks of figure 1 differ in their activation and its initial values only`()
    throws
  {
    let relu = try RunConfiguration.preset(named: "cifar-relu")
    let tanh = try RunConfiguration.preset(named: "cifar-tanh")
    #expect(relu.network.layers.count == tanh.network.layers.count)
    var activations = 0
    for (one, other) in zip(relu.network.layers, tanh.network.layers) where one != other {
      switch (one.operation, other.operation) {
      case (.activation(.relu), .activation(.tanh)): activations += 1
      case (.convolution(var layer), .convolution(let twin)):
        #expect(layer.weight == .kaiming && twin.weight == .lecun)
        layer.weight = twin.weight
        #expect(layer == twin)
      default: Issue.record("\(one) and \(other)")
      }
    }
    #expect(activations == 3)
    #expect(relu.optimizer.weightDecay == 0 && tanh.optimizer.weightDecay == 0)
  }

  /// 2014, section 2: "1000 independent logistic units".
  @Test func `the network of 2014 takes logistic units with one key`() throws {
    let configuration = try RunConfiguration.preset(
      named: "alexnet-owt", overrides: ["network.loss=logistic"])
    #expect(try configuration.networkPlan().loss == .logistic)
    #expect(try AlexNetTests.plan("alexnet-owt").loss == .softmax)
  }
}
