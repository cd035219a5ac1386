import Kernels
import Network
import Testing

/// What of a pass is infinite or not a number, and where it came from.
@Suite struct DenseSliceCheckTests {
  private func cluster(
    nodes: Int, _ change: (inout [Float], DenseCluster) -> Void = { _, _ in }
  ) throws -> DenseCluster {
    let plan = try DenseFixture.plan("uneven", form: "gather-input")
    let cluster = DenseCluster(plan, nodes: nodes, rows: 6)
    var features = DenseFixture.numbers(6 * plan.features)
    change(&features, cluster)
    cluster.run(
      DensePass(training: true, step: 1, examples: 6), features: features,
      labels: DenseFixture.labels(6, classes: plan.classes),
      positions: [10, 11, 12, 13, 14, 15])
    return cluster
  }

  @Test(arguments: [1, 2])
  func `a healthy pass has nothing to find`(nodes: Int) throws {
    for slice in try cluster(nodes: nodes).slices {
      #expect(slice.findNonFinite() == nil)
      #expect(slice.findNonFinite(subBatches: 4) == nil)
    }
  }

  @Test(arguments: [Float.nan, .infinity])
  func `features name the row they were given for, and come before what they spoil`(
    value: Float
  ) throws {
    let cluster = try cluster(nodes: 2) { features, cluster in
      features[3 * cluster.plan.features] = value
    }
    let found = cluster.slices.map { $0.findNonFinite() }
    #expect(found[0]?.givenRow == 13)
    #expect(found[0]?.depth == 0)
    #expect(found[0]?.what == "its features of row 13 are \(value)")
    // The other node has its own columns only, and sees what comes of it.
    #expect(found[1]?.givenRow == nil)
    #expect(found[1].map { $0.depth > 0 } == true)
  }

  @Test func `a weight that is infinite shows in the outputs of its layer`() throws {
    let cluster = try cluster(nodes: 1) { _, cluster in
      cluster.slices[0].parameters[0].value[0] = .infinity
    }
    let found = try #require(cluster.slices[0].findNonFinite())
    #expect(found.depth == 1)
    #expect(found.what.hasPrefix("the outputs of fc1 are"))
  }

  @Test func `a gradient that may overflow is found before it is computed`() throws {
    let cluster = try cluster(nodes: 1) { features, cluster in
      features[0] = 1e25
      // Small weights, so that nothing else is beyond the numbers there are.
      let weight = cluster.slices[0].parameters[0]
      for index in 0..<weight.count { weight.value[index] *= 1e-24 }
    }
    #expect(cluster.slices[0].findNonFinite() == nil)
    let found = try #require(cluster.slices[0].findNonFinite(subBatches: .max))
    #expect(found.what.hasSuffix("weights may be beyond the largest number"))
  }
}
