import Kernels
import Network
import Tensors
import Testing

/// A loss over a sample of the classes: the batch's own and random others. Values are compared with
/// the naive reference in `DenseSliceTests`.
@Suite struct SampledClassesTests {
  private static let classes = 997

  private static func plan(_ rate: Float) throws -> NetworkPlan {
    try NetworkPlan(
      input: Shape(6, 1, 1),
      layers: [LayerSpec(.fullyConnected(FullyConnected(units: classes)))], sampleRate: rate)
  }

  /// Classes with a gradient after a training pass, by number.
  private static func sample(
    nodes: Int, step: UInt64, labels: [Int32], rate: Float = 0.1
  ) throws -> Set<Int> {
    let plan = try plan(rate)
    let cluster = DenseCluster(plan, nodes: nodes, rows: labels.count)
    cluster.run(
      DensePass(training: true, step: step, examples: labels.count),
      features: DenseFixture.numbers(labels.count * plan.features), labels: labels)
    let gradient = try #require(cluster.assembled(\.gradient)["classifier.0.bias"])
    return Set(gradient.indices.filter { gradient[$0] != 0 })
  }

  @Test func `the sample does not depend on who draws it`() throws {
    let labels: [Int32] = [3, 996, 500]
    let whole = try Self.sample(nodes: 1, step: 7, labels: labels)
    for nodes in [2, 3, 8] {
      #expect(try Self.sample(nodes: nodes, step: 7, labels: labels) == whole)
    }
    #expect(try Self.sample(nodes: 1, step: 8, labels: labels) != whole)
  }

  @Test(arguments: [Float(0.02), 0.1, 0.5])
  func `every class of the batch is in it, and of the others the part asked for`(
    rate: Float
  ) throws {
    let labels: [Int32] = [0, 1, 2, 996]
    var drawn = 0
    let steps: UInt64 = 20
    for step in 0..<steps {
      let sample = try Self.sample(nodes: 2, step: step, labels: labels, rate: rate)
      #expect(sample.isSuperset(of: labels.map(Int.init)))
      drawn += sample.subtracting(labels.map(Int.init)).count
    }
    let trials = Double(steps) * Double(Self.classes - labels.count)
    let deviation = (trials * Double(rate * (1 - rate))).squareRoot()
    #expect(abs(Double(drawn) - trials * Double(rate)) < 5 * deviation)
  }

  @Test func `gradients of an earlier step's sample are not left behind`() throws {
    let plan = try Self.plan(0.1)
    let cluster = DenseCluster(plan, nodes: 2, rows: 1)
    let features = DenseFixture.numbers(plan.features)
    cluster.run(
      DensePass(training: true, step: 1, examples: 1), features: features, labels: [4])
    cluster.run(
      DensePass(training: true, step: 2, examples: 1), features: features, labels: [700])
    let gradient = try #require(cluster.assembled(\.gradient)["classifier.0.bias"])
    let second = try Self.sample(nodes: 1, step: 2, labels: [700])
    #expect(Set(gradient.indices.filter { gradient[$0] != 0 }) == second)
    // What a step changes are these rows and no others.
    let changed = cluster.slices.flatMap { slice in
      slice.parameters.filter { $0.entry.kind == .weight }.flatMap { piece in
        (piece.active?.rows ?? []).map { piece.rows.lowerBound + $0 }
      }
    }
    #expect(changed.count == second.count && Set(changed) == second)
  }

  @Test func `whoever wants a sample has whole rows of the weights`() throws {
    // Fewer classes than inputs: for all of them the layer would scatter its outputs.
    let layers = [LayerSpec(.fullyConnected(FullyConnected(units: 5)))]
    let input = Shape(9, 1, 1)
    func form(_ rate: Float) throws -> FullyConnected.Form? {
      DenseCut(try NetworkPlan(input: input, layers: layers, sampleRate: rate), nodes: 2)
        .layers.last?.form
    }
    #expect(try form(1) == .scatterOutput)
    #expect(try form(0.5) == .gatherInput)
    #expect(throws: NetworkError.self) {
      try NetworkPlan(
        input: input,
        layers: [LayerSpec(.fullyConnected(FullyConnected(units: 5, form: .scatterOutput)))],
        sampleRate: 0.5)
    }
  }

  /// Golden/make_sampled.py draws the sample with a generator of its own.
  @Test(arguments: [1, 2, 3])
  func `a sampled loss and its gradients are PyTorch's over the same sample`(nodes: Int) throws {
    let golden = try DenseFixture.golden("sampled.txt")
    let plan = try NetworkPlan(
      input: Shape(7, 1, 1),
      layers: [
        LayerSpec(.fullyConnected(FullyConnected(units: 5))), LayerSpec(.activation(.relu)),
        LayerSpec(.fullyConnected(FullyConnected(units: 23))),
      ], sampleRate: 0.3)
    let cluster = DenseCluster(plan, nodes: nodes, rows: 5, seed: 7)
    var values: [String: [Float]] = [:]
    for entry in plan.parameters.entries {
      values[entry.name] = try #require(golden[entry.name]).map { Float($0) }
    }
    cluster.set(values)
    cluster.run(
      DensePass(training: true, step: 3, examples: 4),
      features: try #require(golden["features"]).map { Float($0) },
      labels: try #require(golden["labels"]).map { Int32($0) })
    let loss = try #require(golden["loss"]?.first)
    #expect((cluster.slices[0].lossSum / 4 - loss).magnitude < 1e-6)
    let wanted = try #require(golden["featureGradient"])
    #expect(DenseFixture.error(cluster.featureGradient, wanted) < 1e-5)
    for (name, gradient) in cluster.assembled(\.gradient) {
      let wanted = try #require(golden["\(name).gradient"])
      #expect(DenseFixture.error(gradient, wanted) < 1e-5, "\(name)")
    }
    let bias = try #require(cluster.assembled(\.gradient)["classifier.2.bias"])
    let sample = try #require(golden["sample"]).map { Int($0) }
    #expect(bias.indices.filter { bias[$0] != 0 } == sample)
  }
}
