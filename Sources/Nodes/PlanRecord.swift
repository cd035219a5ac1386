import Configuration
import Network
import Tensors
import Training

/// What a run is made of, for those who watch it: the resolved configuration, the layers, and how
/// the FC layers are cut.
enum PlanRecord {
  /// Keys are only ever added.
  static func json(_ context: RunContext) -> JSONValue {
    .object([
      .init("schemaVersion", .int(1)),
      .init("configuration", configuration(context)),
      .init("layers", .array(context.network.layers.map { layer($0, context) })),
      .init("cut", cut(context)),
    ])
  }

  private static func configuration(_ context: RunContext) -> JSONValue {
    // The text is this program's own.
    (try? JSONValue(json5: context.configuration.resolvedJSON(), source: "configuration")) ?? .null
  }

  private static func layer(_ layer: NetworkPlan.Layer, _ context: RunContext) -> JSONValue {
    let entries = context.network.parameters.entries(ofLayer: layer.index)
    return .object([
      .init("index", .int(layer.index)), .init("name", .string(layer.name)),
      .init("path", .string(layer.path)),
      .init(
        "part", .string(layer.index < context.network.convolutional.count ? "conv" : "fc")),
      .init("input", .array(layer.input.extents.map { .int($0) })),
      .init("output", .array(layer.output.extents.map { .int($0) })),
      .init("parameters", .int(entries.reduce(0) { $0 + $1.shape.count })),
      .init("multiplyAdds", .int(context.network.multiplyAdds(of: layer))),
    ])
  }

  private static func cut(_ context: RunContext) -> JSONValue {
    .object([
      .init("fcNodes", .int(context.cut.nodes)),
      .init("features", .int(context.network.features)),
      .init(
        "layers",
        .array(
          context.cut.layers.map { layer in
            .object([
              .init("name", .string(layer.name)), .init("form", .string(layer.form.rawValue)),
              .init("inputs", .int(layer.inputs)), .init("outputs", .int(layer.outputs)),
              .init(
                "slices",
                .array(
                  (0..<context.cut.nodes).map { rank in
                    let region = layer.weightRegion(rank: rank)
                    return .object([
                      .init("fcNode", .int(rank)),
                      .init("rows", range(region.rows)), .init("columns", range(region.columns)),
                    ])
                  })),
            ])
          })),
    ])
  }

  /// The first index and the one after the last.
  private static func range(_ range: Range<Int>) -> JSONValue {
    .array([.int(range.lowerBound), .int(range.upperBound)])
  }
}
