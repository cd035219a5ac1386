import Messages
import Testing

@testable import Coordination

@Suite struct MembershipTests {
  private var membership = Membership()

  private mutating func add(_ role: Role, preferring rank: Int = -1, ranks: Int = .max)
    -> MemberRecord
  {
    let join = Join(
      role: role, host: "h", processID: 1, softwareVersion: "1", endpoint: "",
      preferredRank: Int32(rank))
    return membership.add(
      join, incarnation: UInt64(membership.records.count) + 1, ranks: 0..<ranks, now: 5)
  }

  /// The ranks given to processes that come one after the other.
  private mutating func ranks(
    _ role: Role, preferring preferences: [Int], of ranks: Int = .max
  ) -> [Int] {
    preferences.map { add(role, preferring: $0, ranks: ranks).name.rank }
  }

  @Test mutating func `each role counts its ranks from the lowest free one`() {
    let first = ranks(.worker, preferring: [-1, -1, -1])
    let fc = ranks(.fc, preferring: [-1])
    membership.remove(membership.ranked(.worker)[1].node)
    let later = ranks(.worker, preferring: [-1, -1])
    #expect(first == [0, 1, 2] && fc == [0] && later == [1, 3])
    #expect(membership.ranked(.worker).map(\.name.rank) == [0, 1, 2, 3])
  }

  @Test mutating func `a rank is had for the asking if it is free`() {
    let ranks = ranks(.worker, preferring: [2, 2, -1, -1])
    #expect(ranks == [2, 0, 1, 3])
  }

  @Test mutating func `an fc node cannot ask for a slice that is none`() {
    let ranks = ranks(.fc, preferring: [7, 2], of: 2)
    #expect(ranks == [0, 1])
  }

  @Test mutating func `numbers are never used twice`() {
    let first = add(.worker)
    membership.remove(first.node)
    let second = add(.worker)
    #expect(second.name == first.name)
    #expect(second.node > first.node)
    #expect(membership[first.node] == nil)
    #expect(membership.find(incarnation: second.incarnation)?.node == second.node)
  }
}
