import Glibc
import Tensors

/// Softmax cross-entropy over logits that are cut by class: one small exchange, no logit travels.
///
/// Each node sends three floats a row: the largest logit of its slice, the sum of
/// e^(logit - that), and the true logit if it owns the label. Everybody combines them in rank
/// order to the same max, sum and loss:
///
///     loss = ln(sum_r sum_r e^(max_r - max)) + max - logit[label]
///     gradient = (e^(logit - max) / sum - [class = label]) / examples
///
/// Rows with a negative label are padding: no loss, zero gradient.
final class SoftmaxSlice {
  /// Floats a row in the exchange.
  static let width = 3

  private let classes: Partition
  private let rank: Int
  private let rows: Int
  /// `[ranks, rows, 3]`; ranks without classes stay unused.
  private let statistics: AlignedBuffer
  /// `[rows]`, after `combine`.
  private let trueLogits: AlignedBuffer

  /// - Parameters:
  ///   - classes: how the logits are cut.
  ///   - rank: this node's.
  init(classes: Partition, rank: Int, rows: Int) {
    self.classes = classes
    self.rank = rank
    self.rows = rows
    statistics = AlignedBuffer(floats: classes.parts * rows * Self.width)
    trueLogits = AlignedBuffer(floats: rows)
  }

  /// `[rows, 3]` of one rank: largest logit, sum of exponentials, true logit (or -infinity).
  func statistics(of rank: Int) -> UnsafeMutablePointer<Float> {
    statistics.floatPointer + rank * rows * Self.width
  }

  /// Fills this rank's statistics, and `exponentials` with e^(logit - largest logit of the slice).
  ///
  /// - Parameters:
  ///   - logits: `[rows, own classes]`.
  ///   - exponentials: `[rows, own classes]`, kept untouched until `combine`.
  func summarize(
    _ logits: UnsafePointer<Float>, labels: UnsafePointer<Int32>,
    exponentials: UnsafeMutablePointer<Float>
  ) {
    let own = classes[rank]
    let table = statistics(of: rank)
    for row in 0..<rows {
      let values = logits + row * own.count
      let largest = Self.largest(values, own.count)
      let entry = table + row * Self.width
      entry[0] = largest
      entry[1] = Self.exponentials(values, own.count, largest, exponentials + row * own.count)
      let label = Int(labels[row])
      entry[2] = own.contains(label) ? values[label - own.lowerBound] : -.infinity
    }
  }

  /// Combines all ranks' statistics; with `gradient`, turns the exponentials in it into the
  /// gradient of the logits.
  ///
  /// - Parameters:
  ///   - examples: the divisor of the mean.
  ///   - gradient: `[rows, own classes]` as `summarize` left it, or nil at evaluation.
  /// - Returns: the loss, summed over the rows that are not padding; NaN if a logit is not finite.
  func combine(
    labels: UnsafePointer<Int32>, examples: Int, gradient: UnsafeMutablePointer<Float>?
  ) -> Double {
    let own = classes[rank]
    var loss = 0.0
    for row in 0..<rows {
      let label = Int(labels[row])
      guard label >= 0 else {
        gradient.map { ($0 + row * own.count).update(repeating: 0, count: own.count) }
        continue
      }
      let (largest, sum) = combined(row)
      let trueLogit =
        statistics(of: classes.owner(of: label))[row * Self.width + Self.width - 1]
      trueLogits.floatPointer[row] = trueLogit
      loss += log(sum) + (largest - Double(trueLogit))
      guard let gradient, !own.isEmpty else { continue }
      let ownLargest = Double(statistics(of: rank)[row * Self.width])
      let values = gradient + row * own.count
      let factor = Float(exp(ownLargest - largest) / (sum * Double(examples)))
      for index in 0..<own.count { values[index] *= factor }
      if own.contains(label) { values[label - own.lowerBound] -= 1 / Float(examples) }
    }
    return loss
  }

  /// Counts, for each row, the logits of this slice that are larger than the true one; of equal
  /// ones those of lower classes count as larger. Call after `combine`.
  ///
  /// The sum over the nodes is the row's rank: 0 means top-1 is right, below 5 that top-5 is.
  /// What cannot be compared (NaN) counts as larger: a diverged network is never right.
  ///
  /// - Parameter counts: `[rows]`; -1 for padding.
  func writeRanks(
    _ logits: UnsafePointer<Float>, labels: UnsafePointer<Int32>,
    into counts: UnsafeMutablePointer<Int32>
  ) {
    let own = classes[rank]
    for row in 0..<rows {
      let label = Int(labels[row])
      guard label >= 0 else {
        counts[row] = -1
        continue
      }
      let values = logits + row * own.count
      let truth = trueLogits.floatPointer[row]
      let split = min(max(label, own.lowerBound), own.upperBound) - own.lowerBound
      var larger: Int32 = 0
      for index in 0..<split { larger += values[index] < truth ? 0 : 1 }
      let first = own.contains(label) ? split + 1 : split
      for index in first..<max(first, own.count) { larger += values[index] <= truth ? 0 : 1 }
      counts[row] = larger
    }
  }

  private func combined(_ row: Int) -> (largest: Double, sum: Double) {
    var largest = -Double.infinity
    for rank in 0..<classes.parts where !classes[rank].isEmpty {
      let candidate = Double(statistics(of: rank)[row * Self.width])
      if candidate > largest { largest = candidate }
    }
    var sum = 0.0
    for rank in 0..<classes.parts where !classes[rank].isEmpty {
      let entry = statistics(of: rank) + row * Self.width
      sum += Double(entry[1]) * exp(Double(entry[0]) - largest)
    }
    return (largest, sum)
  }

  /// The largest of the values; NaN is passed over (the sum of exponentials shows it).
  private static func largest(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
    var result = -Float.infinity
    for index in 0..<count where values[index] > result { result = values[index] }
    return result
  }

  /// Writes e^(value - largest) and returns the sum.
  private static func exponentials(
    _ values: UnsafePointer<Float>, _ count: Int, _ largest: Float,
    _ target: UnsafeMutablePointer<Float>
  ) -> Float {
    for index in 0..<count { target[index] = SoftmaxExponential.value(values[index] - largest) }
    // In double precision, so that a million classes cost no accuracy.
    var sum = 0.0
    for index in 0..<count { sum += Double(target[index]) }
    return Float(sum)
  }
}
