import Glibc
import Tensors
import Testing

@Suite struct NormalDistributionTests {
  /// Roots of erfc(-x / sqrt 2) / 2 = p, found by mpmath with 60 digits for the double nearest p.
  @Test(arguments: [
    (0.5, 0), (0.75, 0.6744897501960817), (0.9, 1.2815515655446006),
    (0.975, 1.9599639845400539), (0.99, 2.3263478740408408), (0.999, 3.0902323061678132),
    (0.25, -0.6744897501960817), (0.025, -1.9599639845400542), (1e-5, -4.2648907939228246),
    (1e-10, -6.3613409024040562), (1e-20, -9.2623400897984076), (1e-100, -21.273453560965324),
  ])
  func `quantiles are the known ones`(p: Double, expected: Double) {
    #expect(abs(NormalDistribution.quantile(p) - expected) <= 1e-14 * max(1, expected.magnitude))
  }

  @Test func `the quantile undoes the distribution function`() {
    for step in -60...60 {
      let x = Double(step) / 10
      // Below 0, where the complement loses no digits.
      let p = erfc(x.magnitude / 2.0.squareRoot()) / 2
      #expect(abs(NormalDistribution.quantile(p) + x.magnitude) < 1e-13 * max(1, x.magnitude))
    }
  }

  @Test func `the three ranges of the approximation meet`() {
    // |p - 1/2| = 0.425, and sqrt(-ln p) = 5.
    for edge in [0.075, 0.925, exp(-25.0)] {
      let below = NormalDistribution.quantile(edge * (1 - 1e-12))
      let above = NormalDistribution.quantile(edge * (1 + 1e-12))
      #expect(below < above)
      #expect(above - below < 1e-10)
    }
  }

  @Test func `the moments are those of the standard normal`() {
    let stream = RandomStream(seed: 5, purpose: .initialValue, name: "moments")
    let count = 200_000
    var sums = [0.0, 0, 0, 0]
    for index in 0..<UInt64(count) {
      let p = Double(RandomStream.uniform(stream.word(at: index)))
      let x = NormalDistribution.quantile(p)
      var power = 1.0
      for order in 0..<4 {
        power *= x
        sums[order] += power
      }
    }
    let moments = sums.map { $0 / Double(count) }
    // Five standard errors: of x^k it is sqrt(E x^2k - (E x^k)^2).
    let root = Double(count).squareRoot()
    #expect(abs(moments[0]) < 5 * 1 / root)
    #expect(abs(moments[1] - 1) < 5 * 2.0.squareRoot() / root)
    #expect(abs(moments[2]) < 5 * 15.0.squareRoot() / root)
    #expect(abs(moments[3] - 3) < 5 * 96.0.squareRoot() / root)
  }

  @Test(arguments: [1e-300, 1e-10, 0.1, 0.7071, 0.9999999, 1, 1.0000001, 1.4143, 2, 3, 1e10, 1e300])
  func `the logarithm agrees with the library's`(x: Double) {
    let expected = log(x)
    let difference = abs(NormalDistribution.naturalLogarithm(x) - expected)
    #expect(difference <= 4 * expected.ulp + 1e-17)
  }
}
