import Kernels
import Network
import Tensors
import Testing

@Suite struct DenseSliceMirrorTests {
  static let cases = DenseFixture.forms.flatMap { form in
    [
      ("dropout first", 2), ("dropout first", 3), ("uneven", 2), ("uneven", 3), ("logistic", 2),
      ("single", 2),
    ].map { DenseSliceTests.Case(network: $0.0, form: form, nodes: $0.1) }
  }

  /// The bits, not only about: a mirror that rounds otherwise drifts away from what it mirrors.
  @Test(arguments: cases, Array(KernelLibrary.precisions))
  func `a mirror makes the gradients of its neighbour`(
    _ test: DenseSliceTests.Case, _ precision: NumberFormat
  ) throws {
    let plan = try DenseFixture.plan(test.network, form: test.form)
    let rows = 6
    let cluster = DenseCluster(plan, nodes: test.nodes, rows: rows, precision: precision)
    cluster.run(
      DensePass(training: true, step: 41, examples: 6),
      features: DenseFixture.numbers(rows * plan.features),
      labels: DenseFixture.labels(rows, classes: plan.classes))
    let pool = FramePool()
    for rank in 0..<test.nodes {
      let frames = cluster.slices[rank].gradientFactors(pool)
      let bytes = frames.reduce(0) { $0 + $1.byteCount }
      #expect(bytes == 4 * rows * cluster.cut.mirroredColumns(of: rank))
      let mirror = DenseSlice(
        plan: plan, cut: cluster.cut, rank: rank, rows: rows, seed: 7, precision: precision)
      mirror.takeGradientFactors(frames, besides: cluster.slices[(rank + 1) % test.nodes])
      mirror.computeParameterGradients()
      for (mine, own) in zip(mirror.parameters, cluster.slices[rank].parameters) {
        let (left, right) = (Self.bits(mine), Self.bits(own))
        #expect(left == right, "\(own.entry.name) of \(rank)")
        #expect(right.contains { $0 & 0x7fff_ffff != 0 }, "\(own.entry.name) has no gradient")
      }
    }
  }

  private static func bits(_ piece: OwnedParameter) -> [UInt32] {
    UnsafeBufferPointer(start: piece.gradient, count: piece.count).map(\.bitPattern)
  }
}
