/// A training set cut into groups of whole shards, for workers whose machines have only some.
///
/// Shard s belongs to group s mod the number of groups: by the index alone, so that all machines cut
/// alike whatever they have.
package struct ShardGroups: Sendable {
  /// Examples of each group, ascending; none is empty.
  package let members: [[UInt32]]
  /// Groups all of whose shards are here, ascending.
  package let held: [Int]

  package var count: Int { members.count }
  package var isWhole: Bool { held.count == members.count }

  /// - Parameters:
  ///   - count: of groups.
  ///   - shards: the shard of each example.
  ///   - isHere: whether a shard is on this machine.
  /// - Throws: `DatasetError` if a group has no shard, or as `isHere` does.
  init(
    count: Int, shards: [UInt32], directory: String, isHere: (Int) throws(DatasetError) -> Bool
  ) throws(DatasetError) {
    var members: [[UInt32]] = Array(repeating: [], count: count)
    var present: [Int: Bool] = [:]
    for (index, shard) in shards.enumerated() {
      members[Int(shard) % count].append(UInt32(index))
      present[Int(shard)] = false
    }
    if let empty = members.firstIndex(where: \.isEmpty) {
      throw DatasetError(
        directory,
        "its \(present.count) training shards cannot be dealt to \(count) groups, group \(empty) has "
          + "none: set fewer dataset.shardGroups, or prepare with fewer --shard-examples")
    }
    for shard in present.keys { present[shard] = try isHere(shard) }
    self.members = members
    held = members.indices.filter { group in
      present.allSatisfy { $0.key % count != group || $0.value }
    }
  }

  /// Of tests.
  init(members: [[UInt32]], held: [Int]) {
    self.members = members
    self.held = held
  }

  /// "0, 2 of 4 shard groups".
  package var description: String {
    (held.isEmpty ? "none" : held.map { "\($0)" }.joined(separator: ", "))
      + " of \(count) shard groups"
  }
}
