import Kernels
import Network
import Tensors
import Testing

@Suite struct DenseSliceTests {
  /// Single precision over sums of at most 18 terms and three layers.
  static let tolerance = 4e-6
  static let nodeCounts = [1, 2, 3, 5]

  struct Case: CustomTestStringConvertible {
    let network: String
    let form: String
    let nodes: Int
    var testDescription: String { "\(network), \(form), \(nodes) nodes" }
  }

  static let cases = DenseFixture.networks.flatMap { network in
    DenseFixture.forms.flatMap { form in
      nodeCounts.map { Case(network: network, form: form, nodes: $0) }
    }
  }

  @Test(arguments: cases)
  func `any cut trains like the naive reference`(_ test: Case) throws {
    let plan = try DenseFixture.plan(test.network, form: test.form)
    let rows = 6
    let cluster = DenseCluster(plan, nodes: test.nodes, rows: rows)
    let reference = DenseNetworkReference(plan: plan, seed: 7)
    let features = DenseFixture.numbers(rows * plan.features)
    let labels = DenseFixture.labels(rows, classes: plan.classes, padding: 2)
    let pass = DensePass(training: true, step: 41, examples: 5)
    // The padding row holds garbage, which nobody may see.
    var dirty = features
    for unit in 0..<plan.features { dirty[2 * plan.features + unit] = .nan }
    cluster.run(pass, features: dirty, labels: labels)
    let expected = reference.run(pass, features: features.map(Double.init), labels: labels)

    #expect(cluster.wrongSizes == [])
    for slice in cluster.slices {
      #expect((slice.lossSum - expected.lossSum).magnitude < Self.tolerance * expected.lossSum)
    }
    #expect(
      DenseFixture.error(cluster.featureGradient, expected.featureGradient) < Self.tolerance)
    for (name, gradient) in cluster.assembled(\.gradient) {
      let wanted = try #require(expected.gradients[name])
      #expect(DenseFixture.error(gradient, wanted) < Self.tolerance, "\(name)")
    }
    #expect(
      cluster.ranks
        == LossReference.ranks(expected.logits, labels: labels, classes: plan.classes))
  }

  @Test(arguments: cases)
  func `any cut evaluates like the naive reference`(_ test: Case) throws {
    let plan = try DenseFixture.plan(test.network, form: test.form)
    let cluster = DenseCluster(plan, nodes: test.nodes, rows: 1)
    let features = DenseFixture.numbers(plan.features, salt: 5)
    let labels: [Int32] = [1]
    let pass = DensePass(training: false, step: 0, examples: 1)
    cluster.run(pass, features: features, labels: labels)
    let expected = DenseNetworkReference(plan: plan, seed: 7)
      .run(pass, features: features.map(Double.init), labels: labels)
    #expect(cluster.wrongSizes == [])
    for slice in cluster.slices {
      #expect((slice.lossSum - expected.lossSum).magnitude < Self.tolerance * expected.lossSum)
    }
    #expect(
      cluster.ranks
        == LossReference.ranks(expected.logits, labels: labels, classes: plan.classes))
  }

  @Test(arguments: [1, 2, 3])
  func `a network of PyTorch's gives PyTorch's loss and gradients`(nodes: Int) throws {
    let golden = try DenseFixture.golden("dense.txt")
    let plan = try NetworkPlan(
      input: Shape(7, 1, 1),
      layers: [
        LayerSpec(.fullyConnected(FullyConnected(units: 6))), LayerSpec(.activation(.relu)),
        LayerSpec(.fullyConnected(FullyConnected(units: 5))), LayerSpec(.activation(.tanh)),
        LayerSpec(.fullyConnected(FullyConnected(units: 4))),
      ])
    let cluster = DenseCluster(plan, nodes: nodes, rows: 5)
    var values: [String: [Float]] = [:]
    for entry in plan.parameters.entries {
      values[entry.name] = try #require(golden["network." + entry.name]).map { Float($0) }
    }
    cluster.set(values)
    cluster.run(
      DensePass(training: true, step: 0, examples: 4),
      features: try #require(golden["network.features"]).map { Float($0) },
      labels: try #require(golden["network.labels"]).map { Int32($0) })
    let loss = try #require(golden["network.loss"]?.first)
    #expect((cluster.slices[0].lossSum / 4 - loss).magnitude < 1e-6)
    let wanted = try #require(golden["network.featureGradient"])
    #expect(DenseFixture.error(cluster.featureGradient, wanted) < Self.tolerance)
    for (name, gradient) in cluster.assembled(\.gradient) {
      let wanted = try #require(golden["network.\(name).gradient"])
      #expect(DenseFixture.error(gradient, wanted) < Self.tolerance, "\(name)")
    }
  }

  @Test(arguments: nodeCounts, DenseFixture.forms)
  func `every cut starts with the same weights`(nodes: Int, form: String) throws {
    let plan = try DenseFixture.plan("dropout first", form: form)
    let reference = DenseNetworkReference(plan: plan, seed: 7).parameters
    let cluster = DenseCluster(plan, nodes: nodes, rows: 1)
    for (name, values) in cluster.assembled(\.value) {
      #expect(values.map(Double.init) == reference[name], "\(name)")
    }
  }

  @Test(arguments: [2, 3])
  func `the same pass gives the same bits again and on every node the same loss`(
    nodes: Int
  ) throws {
    let plan = try DenseFixture.plan("dropout first", form: "mixed")
    let features = DenseFixture.numbers(4 * plan.features)
    let labels = DenseFixture.labels(4, classes: plan.classes)
    let other = DensePass(training: true, step: 8, examples: 4)
    let pass = DensePass(training: true, step: 9, examples: 4)
    let first = DenseCluster(plan, nodes: nodes, rows: 4)
    first.run(pass, features: features, labels: labels)
    let second = DenseCluster(plan, nodes: nodes, rows: 4)
    second.run(other, features: features.map { -$0 }, labels: labels)
    let bytes = second.frameBytes
    second.run(pass, features: features, labels: labels)
    #expect(first.featureGradient == second.featureGradient)
    #expect(first.assembled(\.gradient) == second.assembled(\.gradient))
    #expect(Set((first.slices + second.slices).map(\.lossSum)).count == 1)
    #expect(second.frameBytes == bytes, "a second pass takes no new memory for frames")
  }

  @Test func `sub-batches add up to the gradient of the whole batch`() throws {
    let plan = try DenseFixture.plan("dropout first", form: "auto")
    let features = DenseFixture.numbers(6 * plan.features)
    let labels = DenseFixture.labels(6, classes: plan.classes)
    let pass = DensePass(training: true, step: 3, examples: 6)
    let whole = DenseCluster(plan, nodes: 2, rows: 6)
    whole.run(pass, features: features, labels: labels)

    // Sub-batches as the `scattered` schedule makes them: every other example.
    let parts = DenseCluster(plan, nodes: 2, rows: 3)
    var sums: [String: [Float]] = [:]
    var loss = 0.0
    for part in 0..<2 {
      let rows = [part, part + 2, part + 4]
      parts.run(
        pass,
        features: rows.flatMap { features[($0 * plan.features)..<(($0 + 1) * plan.features)] },
        labels: rows.map { labels[$0] }, positions: rows.map { UInt32($0) })
      loss += parts.slices[0].lossSum
      sums.merge(parts.assembled(\.gradient)) { zip($0, $1).map(+) }
    }
    #expect((loss - whole.slices[0].lossSum).magnitude < 1e-5)
    for (name, gradient) in whole.assembled(\.gradient) {
      let sum = try #require(sums[name])
      #expect(DenseFixture.error(sum, gradient.map(Double.init)) < Self.tolerance, "\(name)")
    }
  }

  @Test func `accumulated gradients are the sum of two passes`() throws {
    let plan = try DenseFixture.plan("single", form: "auto")
    let cluster = DenseCluster(plan, nodes: 1, rows: 2)
    cluster.run(
      DensePass(training: true, step: 0, examples: 2), features: DenseFixture.numbers(6),
      labels: [0, 1])
    let once = cluster.assembled(\.gradient)
    cluster.slices[0].computeParameterGradients(accumulate: true)
    let twice = cluster.assembled(\.gradient)
    for (name, gradient) in once {
      let sum = try #require(twice[name])
      #expect(DenseFixture.error(sum, gradient.map { 2 * Double($0) }) < 1e-6, "\(name)")
    }
  }

  @Test func `a batch of padding alone has neither loss nor gradient`() throws {
    let plan = try DenseFixture.plan("dropout first", form: "mixed")
    let cluster = DenseCluster(plan, nodes: 3, rows: 2)
    cluster.run(
      DensePass(training: true, step: 0, examples: 8),
      features: DenseFixture.numbers(2 * plan.features), labels: [-1, -1])
    #expect(cluster.slices.allSatisfy { $0.lossSum == 0 })
    #expect(cluster.featureGradient.allSatisfy { $0 == 0 })
    #expect(cluster.assembled(\.gradient).values.allSatisfy { $0.allSatisfy { $0 == 0 } })
    #expect(cluster.ranks == [-1, -1])
  }

  @Test(arguments: [1, 2, 7, 1000])
  func `frames may be cut anywhere and lie at any address`(floats: Int) throws {
    let plan = try DenseFixture.plan("dropout first", form: "mixed")
    let features = DenseFixture.numbers(3 * plan.features)
    let pass = DensePass(training: true, step: 1, examples: 3)
    let whole = DenseCluster(plan, nodes: 3, rows: 3)
    whole.run(pass, features: features, labels: [0, 1, 2])
    let cut = DenseCluster(plan, nodes: 3, rows: 3)
    cut.recut = floats
    cut.run(pass, features: features, labels: [0, 1, 2])
    #expect(whole.featureGradient == cut.featureGradient)
    #expect(whole.assembled(\.gradient) == cut.assembled(\.gradient))
    #expect(whole.slices.map(\.lossSum) == cut.slices.map(\.lossSum))
  }

  @Test func `rows longer than a frame travel in several`() throws {
    // 2.2 million features: half a row is longer than a 4 MiB frame.
    let count = 2_200_000
    let plan = try NetworkPlan(
      input: Shape(count, 1, 1),
      layers: [
        LayerSpec(
          .fullyConnected(FullyConnected(units: 2, form: .gatherInput, weight: .constant(1e-4))))
      ])
    let cluster = DenseCluster(plan, nodes: 2, rows: 1)
    // Class 1 has the weights of class 0 negated.
    let weights = (0..<(2 * count)).map { Float($0 < count ? 1e-4 : -1e-4) }
    cluster.set(["classifier.0.weight": weights])
    let features = DenseFixture.numbers(count)
    cluster.run(
      DensePass(training: false, step: 0, examples: 1), features: features, labels: [0])
    #expect(cluster.wrongSizes == [])
    let logit = features.reduce(0) { $0 + Double($1) } * 1e-4
    let loss = LossReference.loss(.softmax, [logit, -logit], labels: [0], classes: 2, examples: 1)
      .sum
    #expect((cluster.slices[0].lossSum - loss).magnitude < 1e-4)
  }

  @Test func `partial sums are added in rank order on every node`() throws {
    // In floats (1e8 + 1) - 1e8 is 0, every other order gives 1.
    let plan = try NetworkPlan(
      input: Shape(3, 1, 1),
      layers: [
        LayerSpec(
          .fullyConnected(FullyConnected(units: 3, form: .scatterOutput, weight: .constant(1))))
      ])
    let cluster = DenseCluster(plan, nodes: 3, rows: 1)
    // Twice class 0's sum, were it 1 anywhere, would show in the loss.
    cluster.set(["classifier.0.weight": [2, 2, 2, 1, 1, 1, 3, 3, 3]])
    cluster.run(
      DensePass(training: false, step: 0, examples: 1), features: [1e8, 1, -1e8], labels: [1])
    #expect((cluster.slices[0].lossSum - 1.0986122886681098).magnitude < 1e-7)
  }

  @Test(arguments: [1, 2])
  func `weights whose rows alias in the cache give the same gradients`(nodes: Int) throws {
    // Rows of 512 floats and more than 256 of them: copied in panels.
    let plan = try NetworkPlan(
      input: Shape(512, 1, 1),
      layers: [
        LayerSpec(.fullyConnected(FullyConnected(units: 530))), LayerSpec(.activation(.relu)),
        LayerSpec(.fullyConnected(FullyConnected(units: 5))),
      ])
    let cluster = DenseCluster(plan, nodes: nodes, rows: 3)
    let features = DenseFixture.numbers(3 * 512)
    let pass = DensePass(training: true, step: 0, examples: 3)
    cluster.run(pass, features: features, labels: [0, 4, 2])
    let expected = DenseNetworkReference(plan: plan, seed: 7)
      .run(pass, features: features.map(Double.init), labels: [0, 4, 2])
    #expect(
      DenseFixture.error(cluster.featureGradient, expected.featureGradient) < Self.tolerance)
    for (name, gradient) in cluster.assembled(\.gradient) {
      let wanted = try #require(expected.gradients[name])
      #expect(DenseFixture.error(gradient, wanted) < Self.tolerance, "\(name)")
    }
  }

  @Test func `a payload of the wrong size stops the process before it is read`() async {
    await #expect(processExitsWith: .failure) {
      let plan = try DenseFixture.plan("single", form: "gather-input")
      let slice = DenseCluster(plan, nodes: 2, rows: 1).slices[0]
      slice.begin(DensePass(training: false, step: 0, examples: 1))
      slice.run(segment: 0, received: [])
      slice.run(segment: 1, received: [[], [Frame(copying: [Float(1), 2])]])
    }
  }

  @Test func `labels off the wire that are no class are found`() throws {
    let plan = try DenseFixture.plan("single", form: "auto")
    let slice = DenseCluster(plan, nodes: 1, rows: 3).slices[0]
    slice.labels[0] = -1
    slice.labels[1] = 1
    #expect(slice.firstInvalidLabel == nil)
    slice.labels[2] = 2
    #expect(slice.firstInvalidLabel == 2)
    slice.labels[1] = -2
    #expect(slice.firstInvalidLabel == 1)
  }
}
