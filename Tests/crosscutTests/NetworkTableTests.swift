import Configuration
import Testing

@testable import crosscut

@Suite struct NetworkTableTests {
  static func table(_ name: String) throws -> NetworkTable {
    let configuration = try RunConfiguration.preset(named: name)
    return NetworkTable(
      name: name, plan: try configuration.networkPlan(), precision: configuration.precision)
  }

  @Test func `the table has shapes, details, costs and their sums`() throws {
    #expect(
      try Self.table("lenet5").text == """
        layer                   output    parameters  multiply-adds  bytes/image
        ------------------------------------------------------------------------
        input                   1x28x28                                    3,136
        C1      5x5 pad 2       6x28x28          156        117,600       18,816
        tanh1                   6x28x28                                   18,816
        S2      average 2x2 /2  6x14x14                                    4,704
        C3      5x5             16x10x10       2,416        240,000        6,400
        tanh2                   16x10x10                                   6,400
        S4      average 2x2 /2  16x5x5                                     1,600
        C5      5x5             120x1x1       48,120         48,000          480
        tanh3                   120x1x1                                      480
        F6                      84            10,164         10,080          336
        tanh4                   84                                           336
        output                  10               850            840           40
        ------------------------------------------------------------------------
        conv                                  50,692        405,600       57,696
        fc                                    11,014         10,920          712
        total                                 61,706        416,520       58,408

        lenet5: softmax loss, 0.2 MB of parameters in fp32, computed in fp32

        """)
  }

  @Test func `the JSON has the same numbers`() throws {
    let json = try Self.table("alexnet-2012").json
    #expect(json["name"] == .string("alexnet-2012"))
    #expect(json["loss"] == .string("softmax"))
    #expect(json["input"] == .array([.int(3), .int(227), .int(227)]))
    #expect(json["sums"]?["total"]?["parameters"] == .int(60_965_224))
    #expect(json["sums"]?["conv"]?["multiplyAdds"] == .int(665_784_864))
    guard case .array(let layers)? = json["layers"] else {
      Issue.record("no layers")
      return
    }
    #expect(layers.count == 22)
    #expect(
      layers[0]
        == .object([
          .init("index", .int(0)), .init("name", .string("conv1")),
          .init("path", .string("features.0")), .init("part", .string("conv")),
          .init("type", .string("conv")), .init("output", .array([.int(96), .int(55), .int(55)])),
          .init("parameters", .int(34_944)), .init("multiplyAdds", .int(105_415_200)),
          .init("bytesPerImage", .int(1_161_600)),
        ]))
  }
}
