import Network
import Tensors
import Testing

@Suite struct ChunkTableTests {
  static func stages() throws -> [ConvolutionalStage] {
    try NetworkPlan(
      input: Shape(1, 12, 12),
      layers: [
        NetworkPlanTests.relu, NetworkPlanTests.conv(2, 3), NetworkPlanTests.relu,
        NetworkPlanTests.conv(4, 3), NetworkPlanTests.fc(3),
      ]
    ).stages
  }

  @Test(arguments: [1, 7, 19, 20, 21, 75, 76, 77, 1 << 20])
  func `chunks tile each stage exactly and none is larger than asked`(maximum: Int) throws {
    let stages = try Self.stages()
    let table = ChunkTable(stages: stages, maximumElements: maximum)
    #expect(table.chunks.map(\.index) == Array(table.chunks.indices))
    #expect(table.ofStage.count == stages.count)
    for stage in stages {
      let chunks = table.chunks[table.ofStage[stage.index]]
      #expect(chunks.flatMap { Array($0.range) } == Array(0..<stage.parameterCount))
      #expect(chunks.allSatisfy { $0.stage == stage.index && $0.range.count <= maximum })
      #expect(chunks.map(\.ordinal) == Array(0..<chunks.count))
      #expect(chunks.count == (stage.parameterCount + maximum - 1) / maximum)
    }
  }

  @Test func `a stage without parameters has no chunk`() throws {
    let table = ChunkTable(stages: try Self.stages(), maximumElements: 10)
    #expect(table.ofStage[0].isEmpty)
    #expect(table.stageNames == ["input", "conv1", "conv2"])
  }

  @Test func `a chunk is named by its layer and its place in it`() throws {
    let table = ChunkTable(stages: try Self.stages(), maximumElements: 10)
    #expect(table.name(of: 0) == "conv1 chunk 0")
    #expect(table.name(of: 3) == "conv2 chunk 1")
  }
}
