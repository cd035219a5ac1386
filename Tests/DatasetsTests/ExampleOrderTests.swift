import Testing

@testable import Datasets

@Suite struct ExampleOrderTests {
  private func examples(_ order: ExampleOrder, from position: UInt64, count: Int) -> [Int] {
    var output = [Int](repeating: -1, count: count)
    output.withUnsafeMutableBufferPointer { order.examples(from: position, into: $0) }
    return output
  }

  @Test(arguments: [1, 2, 3, 7, 100, 1001])
  func `every example comes exactly once an epoch`(count: Int) {
    let order = ExampleOrder(seed: 17, count: count)
    for epoch in 0..<4 {
      let seen = examples(order, from: UInt64(epoch * count), count: count)
      #expect(seen.sorted() == Array(0..<count))
    }
  }

  @Test func `epochs and seeds have orders of their own`() {
    let order = ExampleOrder(seed: 1, count: 50)
    let first = examples(order, from: 0, count: 50)
    #expect(first != Array(0..<50))
    #expect(first != examples(order, from: 50, count: 50))
    #expect(first != examples(ExampleOrder(seed: 2, count: 50), from: 0, count: 50))
    #expect(first == examples(ExampleOrder(seed: 1, count: 50), from: 0, count: 50))
  }

  @Test func `what a position holds does not depend on what was asked before`() {
    let count = 23
    let whole = examples(ExampleOrder(seed: 5, count: count), from: 0, count: 6 * count)
    let order = ExampleOrder(seed: 5, count: count)
    // Forwards, backwards and far away: a view change goes back a step, a resume jumps.
    for position in [0, 22, 23, 100, 5, 130, 46, 45, 70, 0] {
      #expect(order.example(at: UInt64(position)) == whole[position])
    }
    for first in [20, 3, 68, 44] {
      #expect(
        examples(order, from: UInt64(first), count: 50) == Array(whole[first..<(first + 50)]))
    }
  }

  @Test(arguments: [1, 2, 3, 5])
  func `workers' shares together are the global batch`(workers: Int) {
    let whole = examples(ExampleOrder(seed: 9, count: 40), from: 32, count: 16)
    var joined: [Int] = []
    for rank in 0..<workers {
      let order = ExampleOrder(seed: 9, count: 40)
      let (lower, upper) = (16 * rank / workers, 16 * (rank + 1) / workers)
      joined += examples(order, from: UInt64(32 + lower), count: upper - lower)
    }
    #expect(joined == whole)
  }

  @Test func `positions far beyond 32 bits have an epoch too`() {
    let order = ExampleOrder(seed: 3, count: 10)
    let position: UInt64 = 1 << 40
    #expect(order.epoch(of: position) == position / 10)
    let start = position / 10 * 10
    #expect(examples(order, from: start, count: 10).sorted() == Array(0..<10))
  }

  @Test func `orders are uniform`() {
    // 6 orders of 3 examples over 6000 epochs: chi-squared with 5 degrees of freedom, p = 1e-5.
    let order = ExampleOrder(seed: 11, count: 3)
    var counts: [[Int]: Int] = [:]
    for epoch in 0..<6000 {
      counts[examples(order, from: UInt64(3 * epoch), count: 3), default: 0] += 1
    }
    #expect(counts.count == 6)
    let chi = counts.values.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(chi < 30.9)
  }

  @Test func `an order is the same on every machine and for ever`() {
    // Epochs 0 and 1, from a Philox and a shuffle written in Python.
    #expect(
      examples(ExampleOrder(seed: 42, count: 10), from: 0, count: 20)
        == [9, 8, 4, 7, 0, 1, 6, 2, 5, 3] + [9, 7, 4, 8, 1, 3, 2, 5, 0, 6])
  }

  /// Three groups of 4, 6 and 2 examples of 12, dealt as shards are.
  private static let groups = ShardGroups(
    members: [[0, 3, 6, 9], [1, 2, 4, 5, 7, 8], [10, 11]], held: [0, 1, 2])

  @Test func `every row of a step comes from the group that owns it`() {
    let order = ExampleOrder(seed: 8, groups: Self.groups, globalBatch: 5)
    // Rows 0 and 1, 2 and 3, and 4.
    let owners = [0, 0, 1, 1, 2]
    for position in 0..<60 {
      let example = UInt32(order.example(at: UInt64(position)))
      #expect(Self.groups.members[owners[position % 5]].contains(example))
    }
    let whole = examples(order, from: 3, count: 40)
    #expect(whole == (3..<43).map { order.example(at: UInt64($0)) })
  }

  @Test func `the next behind an example is of its group, as only that need be here`() {
    let order = ExampleOrder(seed: 8, groups: Self.groups, globalBatch: 5)
    for (position, owner) in [0, 0, 1, 1, 2].enumerated() {
      let members = Self.groups.members[owner].map(Int.init)
      for (index, example) in members.enumerated() {
        let next = order.successor(of: example, at: UInt64(10 + position))
        #expect(next == members[(index + 1) % members.count])
      }
    }
    let whole = ExampleOrder(seed: 8, count: 3)
    #expect((0..<3).map { whole.successor(of: $0, at: 7) } == [1, 2, 0])
  }

  @Test func `every group shows each of its examples once in each of its epochs`() {
    let order = ExampleOrder(seed: 8, groups: Self.groups, globalBatch: 5)
    for (group, rows) in [[0, 1], [2, 3], [4]].enumerated() {
      let stream = (0..<24).flatMap { step in rows.map { UInt64(step * 5 + $0) } }
      let members = Self.groups.members[group]
      for epoch in 0..<(stream.count / members.count) {
        let positions = stream[epoch * members.count..<(epoch + 1) * members.count]
        #expect(positions.map { UInt32(order.example(at: $0)) }.sorted() == members)
        #expect(positions.allSatisfy { order.epoch(of: $0) == UInt64(epoch) })
      }
    }
  }

  @Test func `groups of one size have orders of their own`() {
    let groups = ShardGroups(
      members: [Array(0..<50), Array(50..<100)].map { $0.map(UInt32.init) }, held: [0, 1])
    let order = ExampleOrder(seed: 8, groups: groups, globalBatch: 2)
    let first = (0..<50).map { order.example(at: UInt64(2 * $0)) }
    let second = (0..<50).map { order.example(at: UInt64(2 * $0 + 1)) - 50 }
    #expect(first.sorted() == second.sorted() && first != second)
  }
}
