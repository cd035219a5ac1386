import Glibc
package import Network

/// Naive twin of the losses over whole rows, in double precision.
package enum LossReference {
  /// Loss summed over the rows with a label, and the gradient of the logits of its mean.
  ///
  /// - Parameters:
  ///   - kind: what the logits mean.
  ///   - logits: `[n, classes]`.
  ///   - labels: `[n]`, -1 for padding.
  ///   - examples: the divisor of the mean.
  package static func loss(
    _ kind: Loss, _ logits: [Double], labels: [Int32], classes: Int, examples: Int
  ) -> (sum: Double, gradient: [Double]) {
    var total = 0.0
    var gradient = [Double](repeating: 0, count: logits.count)
    for (row, label) in labels.enumerated() where label >= 0 {
      let values = logits[(row * classes)..<((row + 1) * classes)]
      guard kind == .softmax else {
        for (c, value) in values.enumerated() {
          let truth = c == Int(label) ? 1.0 : 0.0
          total += log1p(exp(-value.magnitude)) + max(value, 0) - truth * value
          gradient[row * classes + c] = (1 / (1 + exp(-value)) - truth) / Double(examples)
        }
        continue
      }
      let largest = values.max() ?? 0
      let sum = values.reduce(0) { $0 + exp($1 - largest) }
      total += log(sum) + largest - logits[row * classes + Int(label)]
      for c in 0..<classes {
        let probability = exp(logits[row * classes + c] - largest) / sum
        gradient[row * classes + c] =
          (probability - (c == Int(label) ? 1 : 0)) / Double(examples)
      }
    }
    return (total, gradient)
  }

  /// The place of each row's label when its logits are sorted from large to small, equal ones by
  /// class; -1 for padding.
  package static func ranks(_ logits: [Double], labels: [Int32], classes: Int) -> [Int32] {
    labels.enumerated().map { row, label in
      guard label >= 0 else { return -1 }
      let values = logits[(row * classes)..<((row + 1) * classes)]
      let order = (0..<classes).sorted {
        let (a, b) = (values[row * classes + $0], values[row * classes + $1])
        return a == b ? $0 < $1 : a > b
      }
      return Int32(order.firstIndex(of: Int(label)) ?? classes)
    }
  }
}
