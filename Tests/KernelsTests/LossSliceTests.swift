import Glibc
import Kernels
import Network
import Tensors
import Testing

/// The loss on slices, with logits set by hand: one fc layer with zero weights, whose bias then
/// is every row's logits.
@Suite struct LossSliceTests {
  private func cluster(
    _ loss: Loss = .softmax, logits: [Float], nodes: Int, labels: [Int32], examples: Int? = nil
  ) throws -> DenseCluster {
    let plan = try NetworkPlan(
      input: Shape(1, 1, 1),
      layers: [
        LayerSpec(
          .fullyConnected(
            FullyConnected(units: logits.count, form: .gatherInput, weight: .constant(0))))
      ], loss: loss)
    let cluster = DenseCluster(plan, nodes: nodes, rows: labels.count)
    cluster.set(["classifier.0.bias": logits])
    cluster.run(
      DensePass(training: true, step: 0, examples: examples ?? labels.count),
      features: [Float](repeating: 0, count: labels.count), labels: labels)
    return cluster
  }

  @Test(arguments: [1, 3, 7], Loss.allCases)
  func `extreme logits stay finite`(nodes: Int, loss: Loss) throws {
    let logits: [Float] = [1e4, -1e4, 9999, 0, -1e4, 1e4]
    let labels: [Int32] = [0, 1, 2, 3, 4, 5, 1]
    let cluster = try cluster(loss, logits: logits, nodes: nodes, labels: labels)
    let rows = labels.flatMap { _ in logits.map(Double.init) }
    let wanted = LossReference.loss(
      loss, rows, labels: labels, classes: 6, examples: labels.count)
    #expect((cluster.slices[0].lossSum - wanted.sum).magnitude < 1e-6 * wanted.sum)
    // Rows share their logits, so the bias gradient is the sum of the rows' gradients.
    let gradient = try #require(cluster.assembled(\.gradient)["classifier.0.bias"])
    let sums = (0..<6).map { c in
      stride(from: c, to: wanted.gradient.count, by: 6).reduce(0) { $0 + wanted.gradient[$1] }
    }
    #expect(DenseFixture.error(gradient, sums) < 1e-6)
  }

  @Test(arguments: [1, 2, 4], Loss.allCases)
  func `a thousand classes lose no accuracy`(nodes: Int, loss: Loss) throws {
    let logits = DenseFixture.numbers(1003).map { 12 * $0 }
    let labels: [Int32] = [0, 500, 1002]
    let cluster = try cluster(loss, logits: logits, nodes: nodes, labels: labels)
    let wanted = LossReference.loss(
      loss, labels.flatMap { _ in logits.map(Double.init) }, labels: labels, classes: 1003,
      examples: 3)
    #expect((cluster.slices[0].lossSum - wanted.sum).magnitude < 1e-6 * wanted.sum)
    let gradient = try #require(cluster.assembled(\.gradient)["classifier.0.bias"])
    let sums = (0..<1003).map { c in
      stride(from: c, to: wanted.gradient.count, by: 1003).reduce(0) { $0 + wanted.gradient[$1] }
    }
    #expect(DenseFixture.error(gradient, sums) < 1e-6)
  }

  @Test(arguments: [1, 2, 3, 8])
  func `ranks are places in the sorted row, equal logits by class`(nodes: Int) throws {
    let logits: [Float] = [2, 5, 2, -1, 5, 2, 0]
    let labels: [Int32] = [0, 1, 2, 3, 4, 5, 6, -1]
    let cluster = try cluster(logits: logits, nodes: nodes, labels: labels, examples: 7)
    let wanted = LossReference.ranks(
      labels.flatMap { _ in logits.map(Double.init) }, labels: labels, classes: 7)
    #expect(wanted == [2, 0, 3, 6, 1, 4, 5, -1])
    #expect(cluster.ranks == wanted)
  }

  @Test(arguments: [1, 2, 3], Loss.allCases)
  func `the likeliest classes of the slices are those of the whole row`(
    nodes: Int, loss: Loss
  ) throws {
    let logits: [Float] = [2, 5, 2, -1, 4, 2, 0]
    let cluster = try cluster(loss, logits: logits, nodes: nodes, labels: [0, 3])
    let all = cluster.slices.flatMap { $0.best(1, count: 3) }
    let best = all.sorted { ($1.probability, $0.index) < ($0.probability, $1.index) }.prefix(3)
    #expect(best.map(\.index) == [1, 4, 0])
    let sum = logits.reduce(0) { $0 + exp($1) }
    for guess in best {
      let logit = logits[guess.index]
      let wanted =
        loss == .softmax
        ? exp(logit) / sum : 1 / (1 + exp(-logit))
      #expect((guess.probability - wanted).magnitude < 1e-6)
    }
    // No slice gives more than it has, nor more than is asked for.
    for slice in cluster.slices { #expect(slice.best(0, count: 2).count == 2) }
    #expect(cluster.slices[0].best(0, count: 99).count <= 7)
  }

  @Test(arguments: [1, 2], [Float.nan, .infinity])
  func `a diverged network shows it and is never right`(nodes: Int, value: Float) throws {
    let cluster = try cluster(logits: [0, value, 1, 2], nodes: nodes, labels: [1, 3])
    for slice in cluster.slices { #expect(slice.lossSum.isNaN) }
    if value.isNaN { #expect(cluster.ranks[0] == 3) }
    #expect(cluster.ranks[1] >= 1)
  }
}
