import Glibc
import Network
import Tensors

extension LossSlice {
  /// A class and how likely it is; of logistic units the unit's output.
  package struct Guess: Hashable, Sendable {
    package let index: Int
    /// 0...1; NaN if the network has diverged.
    package let probability: Float
  }

  /// The likeliest classes of this slice for one row, the likeliest first, of equal ones the lower
  /// class. Call after `combine`: what the others' slices hold is in the probabilities.
  ///
  /// - Parameters:
  ///   - count: how many; all of the slice's if it has fewer.
  ///   - logits: `[rows, own classes]`.
  func best(_ row: Int, count: Int, logits: UnsafePointer<Float>) -> [Guess] {
    let own = classes[rank]
    let values = UnsafeBufferPointer(start: logits + row * own.count, count: own.count)
    let (largest, sum) = combined(row)
    func probability(_ logit: Float) -> Float {
      switch kind {
      case .softmax: Float(exp(Double(logit) - largest) / sum)
      case .logistic: 1 / (1 + exp(-logit))
      }
    }
    var best: [Int] = []
    for index in values.indices {
      // Few are kept: inserting is cheaper than sorting all classes.
      let place = best.firstIndex { values[$0] < values[index] } ?? best.count
      guard place < count else { continue }
      best.insert(index, at: place)
      if best.count > count { best.removeLast() }
    }
    return best.map {
      Guess(index: own.lowerBound + $0, probability: probability(values[$0]))
    }
  }
}

extension DenseSlice {
  /// The likeliest classes of this slice for one row, after the loss segment.
  package func best(_ row: Int, count: Int) -> [LossSlice.Guess] {
    logits.baseAddress.map { loss.best(row, count: count, logits: $0) } ?? []
  }
}
