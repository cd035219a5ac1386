/// Standard normal numbers from uniform ones, one each, by the inverse of the cumulative
/// distribution: algorithm AS 241 (Wichura 1988), good to about 1e-16.
///
/// One uniform makes one normal, so element `i` of a tensor needs only word `i` of its stream
/// (Box-Muller would tie neighbours together), and no libm function is called: the same bits on
/// every machine.
package enum NormalDistribution {
  /// The quantile of `p`, which must lie strictly between 0 and 1.
  package static func quantile(_ p: Double) -> Double {
    precondition(p > 0 && p < 1, "normal quantile of \(p)")
    let q = p - 0.5
    if q.magnitude <= 0.425 {
      let r = 0.180625 - q * q
      return q * ratio(r, centralNumerator, centralDenominator)
    }
    var r = q < 0 ? p : 1 - p
    r = (-naturalLogarithm(r)).squareRoot()
    let value =
      r <= 5
      ? ratio(r - 1.6, middleNumerator, middleDenominator)
      : ratio(r - 5, tailNumerator, tailDenominator)
    return q < 0 ? -value : value
  }

  /// ln(x) for finite x > 0: exponent times ln 2, plus 2 artanh((m-1)/(m+1)) as a series.
  package static func naturalLogarithm(_ x: Double) -> Double {
    precondition(x > 0 && x.isFinite, "logarithm of \(x)")
    var exponent = Double(x.exponent)
    var mantissa = x.significand
    if mantissa > 1.4142135623730951 {
      mantissa /= 2
      exponent += 1
    }
    let z = (mantissa - 1) / (mantissa + 1)
    let square = z * z
    // |z| <= 0.1716, so 12 terms leave less than 1e-19.
    var sum = 0.0
    for term in stride(from: 23, through: 1, by: -2) { sum = sum * square + 1 / Double(term) }
    return exponent * 0.6931471805599453 + 2 * z * sum
  }

  private static func ratio(
    _ x: Double, _ numerator: (SIMD8<Double>), _ denominator: (SIMD8<Double>)
  ) -> Double {
    var top = 0.0
    var bottom = 0.0
    for power in stride(from: 7, through: 0, by: -1) {
      top = top * x + numerator[power]
      bottom = bottom * x + denominator[power]
    }
    return top / bottom
  }

  // Coefficients of AS 241's PPND16, ascending powers.
  private static let centralNumerator = SIMD8<Double>(
    3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
    45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727)
  private static let centralDenominator = SIMD8<Double>(
    1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077,
    21213.794301586595867, 39307.89580009271061, 28729.085735721942674, 5226.495278852545925)
  private static let middleNumerator = SIMD8<Double>(
    1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
    1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833,
    7.7454501427834140764e-4)
  private static let middleDenominator = SIMD8<Double>(
    1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455,
    0.14810397642748007459, 0.0151986665636164571966, 5.475938084995344946e-4,
    1.05075007164441684324e-9)
  private static let tailNumerator = SIMD8<Double>(
    6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
    0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5,
    2.01033439929228813265e-7)
  private static let tailDenominator = SIMD8<Double>(
    1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
    7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7,
    2.04426310338993978564e-15)
}
