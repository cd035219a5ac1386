import Kernels
import Network
import Tensors
import Testing

@Suite struct DropoutTests {
  /// dropout -> fc with one class: the gradient of the features is weight x factor.
  private func masks(
    nodes: Int, rows: Int, units: Int, dropout: Dropout, step: UInt64 = 0,
    positions: [UInt32]? = nil
  ) throws -> [Bool] {
    let plan = try NetworkPlan(
      input: Shape(units, 1, 1),
      layers: [
        LayerSpec(.dropout(dropout)),
        LayerSpec(
          .fullyConnected(
            FullyConnected(units: 2, form: .scatterOutput, weight: .uniformFanIn))),
      ])
    let cluster = DenseCluster(plan, nodes: nodes, rows: rows)
    cluster.run(
      DensePass(training: true, step: step, examples: rows),
      features: [Float](repeating: 1, count: rows * units),
      labels: [Int32](repeating: 0, count: rows), positions: positions)
    return cluster.featureGradient.map { $0 != 0 }
  }

  @Test(arguments: [2, 3, 5])
  func `masks do not depend on the cut`(nodes: Int) throws {
    // 37 units: slices start inside groups of four.
    let whole = try masks(nodes: 1, rows: 9, units: 37, dropout: Dropout(rate: 0.5), step: 6)
    let cut = try masks(nodes: nodes, rows: 9, units: 37, dropout: Dropout(rate: 0.5), step: 6)
    #expect(whole == cut)
    let naive = DropoutReference.factors(
      Dropout(rate: 0.5), training: true, seed: 7, step: 6, layer: 0,
      positions: (0..<9).map { UInt32($0) }, units: 37)
    #expect(whole == naive.map { $0 != 0 })
  }

  @Test func `masks follow the position in the global batch, and steps differ`() throws {
    let all = try masks(nodes: 1, rows: 4, units: 64, dropout: Dropout(rate: 0.5))
    let part = try masks(
      nodes: 1, rows: 2, units: 64, dropout: Dropout(rate: 0.5), positions: [3, 1])
    #expect(Array(all[(3 * 64)..<(4 * 64)]) == Array(part[0..<64]))
    #expect(Array(all[64..<128]) == Array(part[64..<128]))
    #expect(Array(all[0..<64]) != Array(all[64..<128]))
    #expect(try masks(nodes: 1, rows: 4, units: 64, dropout: Dropout(rate: 0.5), step: 1) != all)
  }

  @Test(arguments: [Float(0), 0.1, 0.5, 0.9])
  func `as many units are dropped as the rate says`(rate: Float) throws {
    let kept = try masks(nodes: 1, rows: 64, units: 1024, dropout: Dropout(rate: rate))
    let share = Double(kept.filter { $0 }.count) / Double(kept.count)
    // Five standard deviations of 65536 coins.
    let deviation = (Double(rate) * (1 - Double(rate)) / Double(kept.count)).squareRoot()
    #expect((share - (1 - Double(rate))).magnitude <= 5 * deviation)
  }

  @Test(arguments: Dropout.Scale.allCases)
  func `both scale conventions keep the expectation`(scale: Dropout.Scale) throws {
    let dropout = Dropout(rate: 0.25, scale: scale)
    func mean(training: Bool) -> Double {
      let factors = DropoutReference.factors(
        dropout, training: training, seed: 1, step: 1, layer: 3,
        positions: (0..<64).map { UInt32($0) }, units: 256)
      return factors.reduce(0, +) / Double(factors.count)
    }
    #expect((mean(training: true) - mean(training: false)).magnitude < 0.02)
  }
}
