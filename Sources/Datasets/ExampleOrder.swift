import Tensors

/// Which example stands where in the endless stream of training data.
///
/// Position `p` (step x global batch + place in the batch) belongs to epoch `p / count` and holds
/// example `permutation(seed, epoch)[p % count]`, so every example comes once an epoch, and a
/// batch may straddle two. It depends on nothing else: not on who asks, not on what was asked
/// before. Thread-safe.
///
/// `@unchecked Sendable`: `cache` is used under `lock` only. (Not a `Mutex`: ThreadSanitizer does
/// not see the kernel hand a contended one over, and reports races that are none.)
package final class ExampleOrder: @unchecked Sendable {
  package let seed: UInt64
  /// Examples in the training set.
  package let count: Int

  /// The last two epochs that were asked for: normally the current one and the next.
  private struct Cache {
    var recent = Epoch()
    var older = Epoch()
  }

  private struct Epoch {
    var number: UInt64?
    var permutation: [UInt32] = []
  }

  private let lock = Condition()
  private var cache = Cache()

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - count: examples in the training set, 1 to 2^32 - 1.
  package init(seed: UInt64, count: Int) {
    precondition(count >= 1 && count <= Int(UInt32.max), "an order of \(count) examples")
    self.seed = seed
    self.count = count
  }

  /// The epoch that `position` belongs to.
  package func epoch(of position: UInt64) -> UInt64 { position / UInt64(count) }

  /// The example at `position`.
  package func example(at position: UInt64) -> Int {
    var index = 0
    withUnsafeMutablePointer(to: &index) {
      examples(from: position, into: UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    return index
  }

  /// Writes the examples at `position` and after it.
  ///
  /// A new epoch costs one shuffle: O(count), once.
  package func examples(from position: UInt64, into output: UnsafeMutableBufferPointer<Int>) {
    var epoch = position / UInt64(count)
    var place = Int(position % UInt64(count))
    var done = 0
    while done < output.count {
      let run = min(output.count - done, count - place)
      lock.locked {
        load(epoch)
        for offset in 0..<run {
          output[done + offset] = Int(cache.recent.permutation[place + offset])
        }
      }
      done += run
      place = 0
      epoch += 1
    }
  }

  /// Makes `epoch` the recent one, in the memory of the one forgotten.
  private func load(_ epoch: UInt64) {
    if cache.recent.number == epoch { return }
    (cache.recent, cache.older) = (cache.older, cache.recent)
    if cache.recent.number == epoch { return }
    cache.recent.number = epoch
    shuffle(epoch, into: &cache.recent.permutation)
  }

  /// Fisher-Yates from the end: element `i` changes places with one of `0...i`, drawn with word
  /// `count - 1 - i` of the epoch's stream.
  private func shuffle(_ epoch: UInt64, into permutation: inout [UInt32]) {
    if permutation.isEmpty {
      permutation = Array(repeating: 0, count: count)
    }
    permutation.withUnsafeMutableBufferPointer { values in
      for index in 0..<count { values[index] = UInt32(index) }
      let stream = RandomStream(seed: seed, purpose: .order, first: epoch)
      var words = Philox.Words()
      for drawn in 0..<(count - 1) {
        if drawn & 3 == 0 { words = stream.words(UInt64(drawn / 4)) }
        let last = count - 1 - drawn
        let other = Int(RandomStream.below(UInt32(last + 1), words[drawn & 3]))
        values.swapAt(last, other)
      }
    }
  }
}
