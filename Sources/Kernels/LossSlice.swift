import Glibc
import Network
import Tensors

/// The loss over logits that are cut by class: one small exchange, no logit travels.
///
/// For softmax cross-entropy each node sends three floats a row: the largest logit of its slice,
/// the sum of e^(logit - that), and the true logit if it owns the label. Everybody combines them in
/// rank order to the same max, sum and loss:
///
///     loss = ln(sum_r sum_r e^(max_r - max)) + max - logit[label]
///     gradient = (e^(logit - max) / sum - [class = label]) / examples
///
/// Logistic units need no exchange for their gradients, which is why the 2014 paper took them; the
/// loss and the ranks that are shown do. The three floats are then the largest logit (unused), the
/// sum of ln(1 + e^logit), and the true logit:
///
///     loss = sum_r sum_r - logit[label]
///     gradient = (1 / (1 + e^-logit) - [class = label]) / examples
///
/// Rows with a negative label are padding: no loss, zero gradient.
package final class LossSlice {
  /// Floats a row in the exchange.
  static let width = 3

  let kind: Loss
  let classes: Partition
  let rank: Int
  let rows: Int
  /// `[ranks, rows, 3]`; ranks without classes stay unused.
  private let statistics: AlignedBuffer
  /// `[rows]`, after `combine`.
  private let trueLogits: AlignedBuffer

  /// - Parameters:
  ///   - kind: what the logits mean.
  ///   - classes: how they are cut.
  ///   - rank: this node's.
  init(_ kind: Loss, classes: Partition, rank: Int, rows: Int) {
    self.kind = kind
    self.classes = classes
    self.rank = rank
    self.rows = rows
    statistics = AlignedBuffer(floats: classes.parts * rows * Self.width)
    trueLogits = AlignedBuffer(floats: rows)
  }

  /// `[rows, 3]` of one rank: largest logit, sum of exponentials or of losses, true logit (or
  /// -infinity).
  func statistics(of rank: Int) -> UnsafeMutablePointer<Float> {
    statistics.floatPointer + rank * rows * Self.width
  }

  /// Fills this rank's statistics, and `exponentials` with e^(logit - largest logit of the slice)
  /// or, of logistic units, with their outputs.
  ///
  /// - Parameters:
  ///   - logits: `[rows, own classes]`, or those of the sample only, as all that follows.
  ///   - sample: the classes that the loss is over; `nil` for all.
  ///   - exponentials: `[rows, own classes]`, kept untouched until `combine`.
  func summarize(
    _ logits: UnsafePointer<Float>, labels: UnsafePointer<Int32>, sample: ClassSample? = nil,
    exponentials: UnsafeMutablePointer<Float>
  ) {
    let own = classes[rank]
    let count = sample?.count ?? own.count
    let table = statistics(of: rank)
    for row in 0..<rows {
      let values = logits + row * count
      let largest = Self.largest(values, count)
      let entry = table + row * Self.width
      entry[0] = largest
      let target = exponentials + row * count
      entry[1] =
        switch kind {
        case .softmax: Self.exponentials(values, count, largest, target)
        case .logistic: Self.logistic(values, count, target)
        }
      let label = Int(labels[row])
      entry[2] =
        own.contains(label) ? values[place(of: label, sample)] : -.infinity
    }
  }

  /// The column of an own class; it is in the sample, as every label is.
  private func place(of label: Int, _ sample: ClassSample?) -> Int {
    sample?.position(of: label) ?? label - classes[rank].lowerBound
  }

  /// Combines all ranks' statistics; with `gradient`, turns what `summarize` left in it into the
  /// gradient of the logits.
  ///
  /// - Parameters:
  ///   - examples: the divisor of the mean.
  ///   - gradient: `[rows, own classes]` as `summarize` left it, or nil at evaluation.
  /// - Returns: the loss, summed over the rows that are not padding; NaN if a logit is not finite.
  func combine(
    labels: UnsafePointer<Int32>, examples: Int, sample: ClassSample? = nil,
    gradient: UnsafeMutablePointer<Float>?
  ) -> Double {
    let own = classes[rank]
    let count = sample?.count ?? own.count
    var loss = 0.0
    for row in 0..<rows {
      let label = Int(labels[row])
      guard label >= 0 else {
        gradient.map { ($0 + row * count).update(repeating: 0, count: count) }
        continue
      }
      var factor = 1 / Float(examples)
      var normalizer = 0.0
      switch kind {
      case .softmax:
        let (largest, sum) = combined(row)
        normalizer = log(sum) + largest
        let ownLargest = Double(statistics(of: rank)[row * Self.width])
        factor = Float(exp(ownLargest - largest) / (sum * Double(examples)))
      case .logistic:
        for rank in 0..<classes.parts where !classes[rank].isEmpty {
          normalizer += Double(statistics(of: rank)[row * Self.width + 1])
        }
      }
      let trueLogit =
        statistics(of: classes.owner(of: label))[row * Self.width + Self.width - 1]
      trueLogits.floatPointer[row] = trueLogit
      loss += normalizer - Double(trueLogit)
      guard let gradient, count > 0 else { continue }
      let values = gradient + row * count
      for index in 0..<count { values[index] *= factor }
      if own.contains(label) { values[place(of: label, sample)] -= 1 / Float(examples) }
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
    _ logits: UnsafePointer<Float>, labels: UnsafePointer<Int32>, sample: ClassSample? = nil,
    into counts: UnsafeMutablePointer<Int32>
  ) {
    let own = classes[rank]
    let count = sample?.count ?? own.count
    for row in 0..<rows {
      let label = Int(labels[row])
      guard label >= 0 else {
        counts[row] = -1
        continue
      }
      let values = logits + row * count
      let truth = trueLogits.floatPointer[row]
      let split = place(of: min(max(label, own.lowerBound), own.upperBound), sample)
      var larger: Int32 = 0
      for index in 0..<split { larger += values[index] < truth ? 0 : 1 }
      let first = own.contains(label) ? split + 1 : split
      for index in first..<max(first, count) { larger += values[index] <= truth ? 0 : 1 }
      counts[row] = larger
    }
  }

  /// The largest logit of a row, and the sum of e^(logit - that), over all slices.
  func combined(_ row: Int) -> (largest: Double, sum: Double) {
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

  /// Writes 1 / (1 + e^-value) and returns the sum of ln(1 + e^value).
  private static func logistic(
    _ values: UnsafePointer<Float>, _ count: Int, _ target: UnsafeMutablePointer<Float>
  ) -> Float {
    var sum = 0.0
    for index in 0..<count {
      let value = values[index]
      // Of both signs by e^-|value|, which cannot overflow.
      let small = SoftmaxExponential.value(-value.magnitude)
      target[index] = (value < 0 ? small : 1) / (1 + small)
      sum += log1p(Double(small)) + (value > 0 ? Double(value) : 0)
    }
    return Float(sum)
  }
}
