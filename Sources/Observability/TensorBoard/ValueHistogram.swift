/// How often values of a tensor fall where, in buckets of one width.
package struct ValueHistogram: Hashable, Sendable {
  package private(set) var count = 0
  package private(set) var minimum = 0.0
  package private(set) var maximum = 0.0
  package private(set) var sum = 0.0
  package private(set) var sumOfSquares = 0.0
  /// Upper end of each bucket; the last is the maximum.
  package private(set) var limits: [Double] = []
  package private(set) var counts: [Double] = []

  /// More show finer detail in larger files.
  private static let buckets = 40

  /// Counts the finite ones of `values`, in two passes.
  package init(_ values: UnsafeBufferPointer<Float>) {
    var low = Float.infinity
    var high = -Float.infinity
    for value in values where value.isFinite {
      low = min(low, value)
      high = max(high, value)
      count += 1
      sum += Double(value)
      sumOfSquares += Double(value) * Double(value)
    }
    guard count > 0 else { return }
    minimum = Double(low)
    maximum = Double(high)
    let width = (maximum - minimum) / Double(Self.buckets)
    guard width > 0 else {
      limits = [maximum]
      counts = [Double(count)]
      return
    }
    limits = (1...Self.buckets).map { minimum + width * Double($0) }
    limits[Self.buckets - 1] = maximum
    counts = Array(repeating: 0, count: Self.buckets)
    for value in values where value.isFinite {
      counts[min(Self.buckets - 1, Int((Double(value) - minimum) / width))] += 1
    }
  }
}
