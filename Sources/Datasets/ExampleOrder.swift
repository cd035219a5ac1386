import Tensors

/// Which example stands where in the endless stream of training data.
///
/// Position `p` (step x global batch + place in the batch) belongs to epoch `p / count` and holds
/// example `permutation(seed, epoch)[p % count]`, so every example comes once an epoch, and a
/// batch may straddle two. It depends on nothing else: not on who asks, not on what was asked
/// before. Thread-safe.
///
/// Where the data are cut into groups of shards, each group has an order and epochs of its own:
/// row r of every step comes from the group that owns r of `Partition(global batch, groups)`. Who
/// computes a row then needs that group only, and who that is changes nothing.
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

  /// Groups of shards, with the rows that each gives to a step and its order.
  private struct Groups {
    let rows: Partition
    let members: [[UInt32]]
    let orders: [ExampleOrder]

    /// The group of a position of the run, and the place in that group's stream.
    func place(of position: UInt64) -> (group: Int, position: UInt64) {
      let batch = UInt64(rows.count)
      let row = Int(position % batch)
      let group = rows.owner(of: row)
      let own = rows[group]
      return (group, position / batch * UInt64(own.count) + UInt64(row - own.lowerBound))
    }
  }

  private let groups: Groups?
  /// Tells the streams of a run's groups apart; 0 is that of a whole set.
  private let lane: UInt32
  private let lock = Condition()
  private var cache = Cache()

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - count: examples in the training set, 1 to 2^32 - 1.
  package convenience init(seed: UInt64, count: Int) {
    self.init(seed: seed, count: count, lane: 0, groups: nil)
  }

  /// An order by groups of shards.
  ///
  /// - Parameter globalBatch: rows of a step, at least one for each group.
  package convenience init(seed: UInt64, groups: ShardGroups, globalBatch: Int) {
    precondition(globalBatch >= groups.count, "\(groups.count) groups in \(globalBatch) rows")
    let orders = groups.members.enumerated().map { group, members in
      ExampleOrder(seed: seed, count: members.count, lane: UInt32(group + 1), groups: nil)
    }
    self.init(
      seed: seed, count: groups.members.reduce(0) { $0 + $1.count }, lane: 0,
      groups: Groups(
        rows: Partition(count: globalBatch, parts: groups.count), members: groups.members,
        orders: orders))
  }

  private init(seed: UInt64, count: Int, lane: UInt32, groups: Groups?) {
    precondition(count >= 1 && count <= Int(UInt32.max), "an order of \(count) examples")
    self.seed = seed
    self.count = count
    self.lane = lane
    self.groups = groups
  }

  /// The epoch that `position` belongs to: with groups, its group's.
  package func epoch(of position: UInt64) -> UInt64 {
    guard let groups else { return position / UInt64(count) }
    let place = groups.place(of: position)
    return groups.orders[place.group].epoch(of: place.position)
  }

  /// The example at `position`.
  package func example(at position: UInt64) -> Int {
    if let groups {
      let place = groups.place(of: position)
      let member = groups.orders[place.group].example(at: place.position)
      return Int(groups.members[place.group][member])
    }
    var index = 0
    withUnsafeMutablePointer(to: &index) {
      examples(from: position, into: UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    return index
  }

  /// The example by number behind another, or the first behind the last; with groups, of those of
  /// the group that `position` belongs to, as only they need be here.
  package func successor(of example: Int, at position: UInt64) -> Int {
    guard let groups else { return (example + 1) % count }
    let members = groups.members[groups.place(of: position).group]
    var (low, high) = (0, members.count)
    while low < high {
      let middle = (low + high) / 2
      if Int(members[middle]) <= example { low = middle + 1 } else { high = middle }
    }
    return Int(members[low == members.count ? 0 : low])
  }

  /// Writes the examples at `position` and after it.
  ///
  /// A new epoch costs one shuffle: O(count), once.
  package func examples(from position: UInt64, into output: UnsafeMutableBufferPointer<Int>) {
    guard groups == nil else {
      for offset in output.indices { output[offset] = example(at: position + UInt64(offset)) }
      return
    }
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
      let stream = RandomStream(seed: seed, purpose: .order, first: epoch, second: lane)
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
