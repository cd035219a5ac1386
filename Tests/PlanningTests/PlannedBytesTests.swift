import Configuration
import Network
import Planning
import Testing

/// The arithmetic against figures worked out by hand.
@Suite struct PlannedBytesTests {
  private static func alexNet() throws -> NetworkPlan {
    try RunConfiguration.parse(text: "{ network: \"alexnet-owt\" }", source: "test").networkPlan()
  }

  private static func shape(
    _ nodes: Int, batch: Int, layout: ClusterShape.Layout = .beside
  ) -> ClusterShape {
    var shape = ClusterShape(workers: nodes, fcNodes: nodes, globalBatch: nodes * batch)
    shape.layout = layout
    return shape
  }

  /// Conv gradients and parameters, 2 469 696 floats, to and from machine 0, the features and their
  /// gradients, and per example the exchanged 4096, 4096 and 1000 columns twice.
  @Test(arguments: [(2, 8, 10.8), (2, 32, 13.4), (4, 8, 31.8)])
  func `the busiest machine of a hybrid AlexNet`(nodes: Int, batch: Int, megabytes: Double) throws {
    let traffic = Traffic(try Self.alexNet(), Self.shape(nodes, batch: batch))
    let busiest = Double(max(traffic.busiest.sent, traffic.busiest.received)) / 1e6
    #expect(abs(busiest - megabytes) < 0.1, "\(busiest)")
  }

  @Test(arguments: ClusterShape.Layout.allCases, [1, 3, 4])
  func `what is sent is received`(layout: ClusterShape.Layout, nodes: Int) throws {
    let traffic = Traffic(try Self.alexNet(), Self.shape(nodes, batch: 5, layout: layout))
    let sent = traffic.hosts.reduce(0) { $0 + $1.sent }
    #expect(sent == traffic.hosts.reduce(0) { $0 + $1.received })
    if layout == .beside, nodes == 1 { #expect(sent == 0) }
  }

  /// Conv gradients and parameters then cross every link alike: K/S of what one server has.
  @Test(arguments: ClusterShape.Layout.allCases)
  func `as many server shards as workers leave no link with all conv parameters`(
    layout: ClusterShape.Layout
  ) throws {
    let plan = try Self.alexNet()
    var shape = Self.shape(4, batch: 8, layout: layout)
    shape.chunkElements = 1 << 16
    let one = Traffic(plan, shape)
    shape.serverShards = 4
    let four = Traffic(plan, shape)
    let conv = plan.stages.reduce(0) { $0 + $1.parameterCount } * 4
    #expect(one.servers.map(\.sent) == [4 * conv])
    #expect(four.servers.reduce(0) { $0 + $1.sent } == 4 * conv)
    for server in four.servers { #expect(server.sent <= conv + 4 * 4 << 16) }
    #expect(four.hosts.reduce(0) { $0 + $1.sent } == four.hosts.reduce(0) { $0 + $1.received })
    if layout == .beside {
      // 3/4 of its own gradients and a quarter of the others' parameters, instead of all of those.
      let saved = Double(one.busiest.sent - four.busiest.sent) / Double(conv)
      #expect(abs(saved - 1.5) < 0.1, "\(saved)")
    }
  }

  @Test func `16-bit values halve what is not labels, ranks or the loss`() throws {
    let plan = try Self.alexNet()
    var shape = Self.shape(4, batch: 32)
    let full = Traffic(plan, shape).meanSent
    (shape.wire.activations, shape.wire.gradients, shape.wire.parameters) = (2, 2, 2)
    let half = Traffic(plan, shape).meanSent
    #expect(abs(half / full - 0.5) < 0.001)
  }

  @Test func `a ring moves twice the model, less a share`() throws {
    let bytes = Rival.ring.bytes(try Self.alexNet(), Self.shape(4, batch: 32))
    let expected: Double = 1.5 * 244_403_360
    #expect(bytes == expected)
  }

  /// The 2014 paper, section 2: the conv part has the work, the FC part the parameters.
  @Test func `the cheaper form of each layer is taken`() throws {
    let traffic = Traffic(try Self.alexNet(), Self.shape(4, batch: 32))
    #expect(traffic.layers.map(\.form) == [.scatterOutput, .gatherInput, .scatterOutput])
    #expect(traffic.layers.allSatisfy { $0.sent <= $0.other })
  }
}
