import Network
import Tensors
import Testing

@Suite struct ShardMapTests {
  /// conv1: 20 values, conv2: 76.
  private static func table(_ maximum: Int) throws -> ChunkTable {
    ChunkTable(stages: try ChunkTableTests.stages(), maximumElements: maximum)
  }

  @Test(arguments: [1, 2, 3, 5, 8], [7, 10, 19, 76])
  func `every chunk has one owner, and the lists say the same`(count: Int, maximum: Int) throws {
    let table = try Self.table(maximum)
    let map = ShardMap(table, count: count)
    #expect(map.count == count)
    #expect(map.chunks.joined().sorted() == Array(table.chunks.indices))
    for (shard, chunks) in map.chunks.enumerated() {
      #expect(chunks == chunks.sorted())
      #expect(chunks.allSatisfy { map.owner[$0] == shard })
      #expect(
        map.elements[shard] == chunks.reduce(0) { $0 + table.chunks[$1].range.count })
    }
    if count <= table.chunks.count { #expect(map.chunks.allSatisfy { !$0.isEmpty }) }
  }

  @Test(arguments: [2, 3, 4])
  func `no shard has much more than its part`(count: Int) throws {
    let map = ShardMap(try Self.table(4), count: count)
    let most = map.elements.max() ?? 0
    #expect(most <= 96 / count + 4, "\(map.elements)")
  }

  @Test func `a range of a stage's vector is cut at the parameters`() throws {
    let stage = try ChunkTableTests.stages()[1]
    let weights = stage.parameters[0].shape.count
    let parts = stage.parts(of: weights - 3..<weights + 1)
    #expect(parts.map(\.entry.kind) == [.weight, .bias])
    #expect(parts.map(\.elements) == [weights - 3..<weights, 0..<1])
    #expect(parts.map(\.offset) == [weights - 3, weights])
    #expect(stage.parts(of: 0..<0).isEmpty)
    let whole = stage.parts(of: 0..<stage.parameterCount)
    #expect(whole.map(\.entry) == stage.parameters)
  }
}
