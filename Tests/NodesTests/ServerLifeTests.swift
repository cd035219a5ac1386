import Configuration
import Testing

@testable import Nodes

/// What becomes of a run's configuration when its FC layers are cut anew.
@Suite struct ServerLifeTests {
  private func configuration(_ fcNodes: Int) throws -> RunConfiguration {
    try TinyRun.configuration(
      ["cluster.fcMirror=true", "cluster.fcLoss=recut", "checkpoint.everySteps=10"],
      fcNodes: fcNodes)
  }

  /// Members parse what the server sends, and refuse a mirror of one node.
  @Test(arguments: [(3, 2, true), (2, 1, false)])
  func `a configuration that is cut anew is one that members take`(
    from: Int, to: Int, mirrors: Bool
  ) throws {
    let cut = try ServerLife.recut(configuration(from), to)
    let taken = try RunConfiguration.parse(text: cut.resolvedJSON(), source: "server")
    #expect(taken.cluster.fcNodes == to && taken.cluster.fcMirror == mirrors)
  }

  @Test func `a cut that cannot be is refused before anybody is told`() throws {
    let error = #expect(throws: ConfigurationError.self) {
      try ServerLife.recut(configuration(2), 6)
    }
    #expect(error?.keyPath == "cluster.fcNodes")
  }
}
