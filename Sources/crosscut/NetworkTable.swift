import Configuration
import Network
import Tensors

/// A network's layers with shapes, parameters, multiply-adds and bytes, for people and as JSON.
struct NetworkTable {
  private struct Row {
    let layer: NetworkPlan.Layer
    let part: String
    let parameters: Int
    let multiplyAdds: Int
    /// Of the layer's output for one image, in fp32.
    var bytes: Int { layer.output.count * 4 }
  }

  private struct Sum {
    var parameters = 0
    var multiplyAdds = 0
    var bytes = 0

    init(_ rows: [Row]) {
      for row in rows {
        parameters += row.parameters
        multiplyAdds += row.multiplyAdds
        bytes += row.bytes
      }
    }
  }

  let name: String
  private let plan: NetworkPlan
  private let precision: NumberFormat
  private let rows: [Row]

  /// - Parameter precision: of the products' operands.
  init(name: String, plan: NetworkPlan, precision: NumberFormat) {
    self.name = name
    self.precision = precision
    self.plan = plan
    rows = plan.layers.map { layer in
      Row(
        layer: layer, part: layer.index < plan.convolutional.count ? "conv" : "fc",
        parameters: plan.parameters.entries(ofLayer: layer.index).reduce(0) { $0 + $1.shape.count },
        multiplyAdds: plan.multiplyAdds(of: layer))
    }
  }

  /// Values of all parameters.
  var parameters: Int { rows.reduce(0) { $0 + $1.parameters } }

  /// Of one image's forward pass.
  var multiplyAdds: Int { rows.reduce(0) { $0 + $1.multiplyAdds } }

  /// A table of 80 to 100 columns, with sums of the two parts.
  var text: String {
    var cells = [
      ["layer", "", "output", "parameters", "multiply-adds", "bytes/image"],
      ["input", "", "\(plan.input)", "", "", Self.grouped(plan.input.count * 4)],
    ]
    for row in rows {
      cells.append([
        row.layer.name, Self.detail(of: row.layer.operation), "\(row.layer.output)",
        Self.orEmpty(row.parameters), Self.orEmpty(row.multiplyAdds), Self.grouped(row.bytes),
      ])
    }
    for (label, sum) in sums {
      cells.append([
        label, "", "", Self.grouped(sum.parameters), Self.grouped(sum.multiplyAdds),
        Self.grouped(sum.bytes),
      ])
    }
    var lines = TextTable.lines(cells, leftColumns: 3)
    let rule = String(repeating: "-", count: lines.map(\.count).max() ?? 0)
    lines.insert(rule, at: 1)
    lines.insert(rule, at: lines.count - sums.count)
    let megabytes = Self.tenths(Double(plan.parameters.count) * 4 / 1e6)
    lines.append("")
    lines.append(
      "\(name): \(plan.loss.rawValue) loss, \(megabytes) MB of parameters in fp32, computed in"
        + " \(precision.rawValue)")
    return lines.joined(separator: "\n") + "\n"
  }

  /// The same as JSON; keys are only ever added.
  var json: JSONValue {
    .object([
      .init("name", .string(name)),
      .init("input", Self.list(plan.input)),
      .init("loss", .string(plan.loss.rawValue)),
      .init("precision", .string(precision.rawValue)),
      .init(
        "layers",
        .array(
          rows.map { row in
            .object([
              .init("index", .int(row.layer.index)),
              .init("name", .string(row.layer.name)),
              .init("path", .string(row.layer.path)),
              .init("part", .string(row.part)),
              .init("type", .string(Self.type(of: row.layer.operation))),
              .init("output", Self.list(row.layer.output)),
              .init("parameters", .int(row.parameters)),
              .init("multiplyAdds", .int(row.multiplyAdds)),
              .init("bytesPerImage", .int(row.bytes)),
            ])
          })),
      .init(
        "sums",
        .object(
          sums.map { label, sum in
            .init(
              label,
              .object([
                .init("parameters", .int(sum.parameters)),
                .init("multiplyAdds", .int(sum.multiplyAdds)),
                .init("bytesPerImage", .int(sum.bytes)),
              ]))
          })),
    ])
  }

  private var sums: [(label: String, sum: Sum)] {
    [
      ("conv", Sum(rows.filter { $0.part == "conv" })),
      ("fc", Sum(rows.filter { $0.part == "fc" })), ("total", Sum(rows)),
    ]
  }

  private static func list(_ shape: Shape) -> JSONValue {
    .array(shape.extents.map(JSONValue.int))
  }

  private static func type(of operation: LayerSpec.Operation) -> String {
    switch operation {
    case .convolution: "conv"
    case .activation(let activation): activation.rawValue
    case .pooling(let pooling): pooling.kind == .max ? "maxpool" : "averagepool"
    case .localResponseNormalization: "lrn"
    case .fullyConnected: "fc"
    case .dropout: "dropout"
    }
  }

  private static func detail(of operation: LayerSpec.Operation) -> String {
    switch operation {
    case .convolution(let layer):
      "\(layer.kernel)x\(layer.kernel)" + (layer.stride > 1 ? " /\(layer.stride)" : "")
        + (layer.padding > 0 ? " pad \(layer.padding)" : "") + (layer.ceil ? " ceil" : "")
        + (layer.groups > 1 ? " groups \(layer.groups)" : "")
    case .pooling(let layer):
      (layer.kind == .average ? "average " : "")
        + "\(layer.window)x\(layer.window) /\(layer.stride)"
        + (layer.padding > 0 ? " pad \(layer.padding)" : "") + (layer.ceil ? " ceil" : "")
    case .localResponseNormalization(let layer):
      (layer.region == .withinChannel ? "within " : "")
        + "n \(layer.size) alpha \(layer.alpha)\(layer.divideBySize ? "/n" : "") k \(layer.k)"
    case .dropout(let layer):
      "\(layer.rate)" + (layer.scale == .evaluation ? " scaled at test" : "")
    case .activation, .fullyConnected: ""
    }
  }

  private static func orEmpty(_ count: Int) -> String { count == 0 ? "" : grouped(count) }

  /// 60,965,224.
  static func grouped(_ count: Int) -> String {
    var out = ""
    for (index, digit) in String(count).reversed().enumerated() {
      if index > 0, index % 3 == 0 { out.append(",") }
      out.append(digit)
    }
    return String(out.reversed())
  }

  private static func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
