import Messages
import Tensors

/// Which worker computes the rows of each shard group: one that has the group.
///
/// Every group has the same number of rows in every step, so the trajectory does not depend on the
/// deal: it only says who computes what.
package struct ShardDeal: Hashable, Sendable {
  /// A position among the workers for each group; empty if a group is missing.
  package let holders: [Int]
  /// Groups that no worker has, ascending.
  package let missing: [Int]

  /// Deals groups evenly: those with the fewest holders first, each to the holder with the fewest
  /// groups, among equals to the first. The same workers get the same deal.
  ///
  /// - Parameters:
  ///   - groups: how many there are; 0 where the data are not cut into groups.
  ///   - held: what each worker has.
  package init(groups: Int, held: [[Int]]) {
    var able: [[Int]] = Array(repeating: [], count: groups)
    for (position, mine) in held.enumerated() {
      for group in mine where able.indices.contains(group) { able[group].append(position) }
    }
    missing = able.indices.filter { able[$0].isEmpty }
    guard missing.isEmpty else {
      holders = []
      return
    }
    var holders = Array(repeating: 0, count: groups)
    var load = Array(repeating: 0, count: held.count)
    for group in able.indices.sorted(by: { (able[$0].count, $0) < (able[$1].count, $1) }) {
      let chosen = able[group].min { (load[$0], $0) < (load[$1], $1) } ?? 0
      holders[group] = chosen
      load[chosen] += 1
    }
    self.holders = holders
  }

  /// "shard group 3", "shard groups 1, 3".
  package static func name(_ groups: [Int]) -> String {
    "shard group\(groups.count == 1 ? "" : "s") "
      + groups.map { "\($0)" }.joined(separator: ", ")
  }
}

extension ServerCore {
  /// The deal among these workers, by what they have said that they have.
  func deal(_ workers: [MemberRecord]) -> ShardDeal {
    ShardDeal(
      groups: plan.schedule.followsHolders ? plan.subBatches.parts : 0,
      held: workers.map { $0.heartbeat?.heldGroups ?? [] })
  }

  /// Whether the workers that are ready can compute a step: enough of them, and every shard group
  /// with one of them.
  func canCompute(atLeast wanted: Int) -> Bool {
    let present = ready(.worker)
    return present.count >= wanted && deal(present).missing.isEmpty
  }
}
