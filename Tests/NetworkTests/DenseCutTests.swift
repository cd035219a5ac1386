import Network
import Tensors
import Testing

@Suite struct DenseCutTests {
  static func plan(_ forms: [FullyConnected.Form] = [.auto, .auto, .auto]) throws -> NetworkPlan {
    try NetworkPlan(
      input: Shape(2, 3, 3),
      layers: [
        NetworkPlanTests.fc(24, forms[0]), NetworkPlanTests.relu, NetworkPlanTests.dropout,
        NetworkPlanTests.fc(8, forms[1]), NetworkPlanTests.relu, NetworkPlanTests.fc(10, forms[2]),
      ])
  }

  @Test func `the automatic form moves the smaller activation`() throws {
    // 18 -> 24 gathers, 24 -> 8 scatters, 8 -> 10 gathers
    let cut = DenseCut(try Self.plan(), nodes: 2)
    #expect(cut.layers.map(\.form) == [.gatherInput, .scatterOutput, .gatherInput])
    #expect(cut.layers.map(\.name) == ["fc1", "fc2", "fc3"])
    #expect(cut.layers.map(\.position) == [0, 3, 5])
  }

  @Test func `a form that is asked for holds`() throws {
    let cut = DenseCut(try Self.plan([.scatterOutput, .gatherInput, .scatterOutput]), nodes: 3)
    #expect(cut.layers.map(\.form) == [.scatterOutput, .gatherInput, .scatterOutput])
  }

  @Test(arguments: 1...8, FullyConnected.Form.allCases)
  func `the nodes' regions tile every weight matrix and bias exactly`(
    nodes: Int, form: FullyConnected.Form
  ) throws {
    let cut = DenseCut(try Self.plan([form, form, form]), nodes: nodes)
    #expect(cut.featureSlices.ranges.flatMap { $0 } == Array(0..<18))
    #expect(cut.classSlices.ranges.flatMap { $0 } == Array(0..<10))
    for layer in cut.layers {
      var owners = [Int](repeating: 0, count: layer.inputs * layer.outputs)
      var biasOwners = [Int](repeating: 0, count: layer.outputs)
      for rank in 0..<nodes {
        let region = layer.weightRegion(rank: rank)
        for row in region.rows {
          for column in region.columns { owners[row * layer.inputs + column] += 1 }
        }
        for unit in layer.biasRange(rank: rank) { biasOwners[unit] += 1 }
      }
      #expect(owners.allSatisfy { $0 == 1 })
      #expect(biasOwners.allSatisfy { $0 == 1 })
      #expect(layer.weight.shape == Shape(layer.outputs, layer.inputs))
      #expect(layer.bias.shape == Shape(layer.outputs))
    }
  }

  @Test(arguments: 1...8)
  func `each layer's output slices are the next layer's input slices`(nodes: Int) throws {
    let cut = DenseCut(try Self.plan(), nodes: nodes)
    #expect(cut.layers[0].inputSlices == cut.featureSlices)
    for (layer, next) in zip(cut.layers, cut.layers.dropFirst()) {
      #expect(layer.outputSlices == next.inputSlices)
    }
    #expect(cut.layers[2].outputSlices == cut.classSlices)
  }

  @Test func `a pass has one exchange a layer, one for the loss, and one a layer backward`() throws
  {
    let cut = DenseCut(try Self.plan(), nodes: 2)
    #expect(cut.segmentCount(training: false) == 5)
    #expect(cut.segmentCount(training: true) == 8)
  }
}
