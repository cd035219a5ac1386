/// The largest magnitude of a tensor's elements, by which tensors are compared.
///
/// Infinity as soon as one of the values is not finite: a difference from not-a-number is never
/// small.
package enum MaximumNorm {
  /// max |a|.
  package static func of(_ values: UnsafePointer<Float>, count: Int) -> Float {
    largest(count) {
      UnsafeRawPointer(values + $0).loadUnaligned(as: SIMD16<Float>.self)
    } one: {
      values[$0]
    }
  }

  /// max |a - b|.
  package static func ofDifference(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int
  ) -> Float {
    largest(count) {
      UnsafeRawPointer(a + $0).loadUnaligned(as: SIMD16<Float>.self)
        - UnsafeRawPointer(b + $0).loadUnaligned(as: SIMD16<Float>.self)
    } one: {
      a[$0] - b[$0]
    }
  }

  /// `difference` as a part of `magnitude`: 0 for no difference, infinity for one from nothing.
  package static func relative(_ difference: Float, to magnitude: Float) -> Double {
    guard difference.isFinite, magnitude.isFinite else { return .infinity }
    return difference == 0 ? 0 : Double(difference) / Double(magnitude)
  }

  @inline(__always)
  private static func largest(
    _ count: Int, _ many: (Int) -> SIMD16<Float>, one: (Int) -> Float
  ) -> Float {
    var lanes = SIMD16<Float>()
    // Zero times anything finite stays zero.
    var strange = SIMD16<Float>()
    let whole = count & ~15
    for index in stride(from: 0, to: whole, by: 16) {
      let values = many(index)
      let magnitude = values.replacing(with: -values, where: values .< 0)
      lanes = lanes.replacing(with: magnitude, where: magnitude .> lanes)
      strange += values * 0
    }
    var result = lanes.max()
    var total = strange.sum()
    for index in whole..<count {
      let value = one(index)
      result = max(result, value.magnitude)
      total += value * 0
    }
    return total == 0 ? result : .infinity
  }
}
