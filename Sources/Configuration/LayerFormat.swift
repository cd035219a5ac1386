import Network

/// The words of a layer's `type`.
private enum LayerType: String, CaseIterable, ConfigurationWord {
  case conv, relu, tanh, sigmoid, lrn, maxpool, averagepool, fc, dropout
}

extension LayerSpec: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> LayerSpec {
    // A layer that needs nothing else may be just its type.
    var json = json
    if case .string = json { json = .object([.init("type", json)]) }
    guard case .object = json else {
      throw path.error("expected a layer, an object or its type as a string, found \(json.found)")
    }
    guard let word = json["type"] else {
      throw path.key("type").error("missing: every layer needs it")
    }
    let type = try LayerType.read(word, at: path.key("type"))
    var name: String?
    if let given = json["name"] { name = try String?.read(given, at: path.key("name")) }
    let known = ["type", "name"]
    let operation: Operation
    switch type {
    case .conv: operation = .convolution(try .readFields(json, at: path, known: known))
    case .fc: operation = .fullyConnected(try .readFields(json, at: path, known: known))
    case .lrn:
      operation = .localResponseNormalization(try .readFields(json, at: path, known: known))
    case .dropout: operation = .dropout(try .readFields(json, at: path, known: known))
    case .maxpool, .averagepool:
      var pooling = try Pooling.readFields(json, at: path, known: known)
      pooling.kind = type == .maxpool ? .max : .average
      operation = .pooling(pooling)
    case .relu, .tanh, .sigmoid:
      _ = try ActivationKeys.readFields(json, at: path, known: known)
      operation = .activation(
        type == .relu ? .relu : type == .tanh ? .tanh : .sigmoid)
    }
    return LayerSpec(operation, name: name)
  }

  var json: JSONValue {
    let type: LayerType
    let section: JSONValue
    switch operation {
    case .convolution(let layer): (type, section) = (.conv, layer.json)
    case .fullyConnected(let layer): (type, section) = (.fc, layer.json)
    case .localResponseNormalization(let layer): (type, section) = (.lrn, layer.json)
    case .dropout(let layer): (type, section) = (.dropout, layer.json)
    case .pooling(let layer):
      (type, section) = (layer.kind == .max ? .maxpool : .averagepool, layer.json)
    case .activation(let activation):
      type = activation == .relu ? .relu : activation == .tanh ? .tanh : .sigmoid
      section = .object([])
    }
    let named = name.map { section.with("name", .string($0)) } ?? section
    if named == .object([]) { return .string(type.rawValue) }
    return named.with("type", .string(type.rawValue))
  }
}

extension LayerSpec {
  /// The keys of each type, `conv.channels`; the elementwise ones have none.
  static var documentation: [ConfigurationKey] {
    let types: [(names: String, keys: [ConfigurationKey])] = [
      ("conv", Convolution.keys), ("relu, tanh, sigmoid", []),
      ("lrn", LocalResponseNormalization.keys), ("maxpool, averagepool", Pooling.keys),
      ("fc", FullyConnected.keys), ("dropout", Dropout.keys),
    ]
    return types.flatMap { type in
      guard !type.keys.isEmpty else {
        return [ConfigurationKey(path: type.names, help: "No keys.", defaultText: nil)]
      }
      return type.keys.map {
        ConfigurationKey(
          path: "\(type.names).\($0.path)", help: $0.help, defaultText: $0.defaultText)
      }
    }
  }
}

/// An elementwise layer has no keys of its own.
private struct ActivationKeys: ConfigurationSection {
  static var title: String { "an elementwise layer" }
  static var fields: [Field<ActivationKeys>] { [] }
}

extension Rule where Value == Int {
  /// Bounded so that no product of extents can overflow; `ShapeRule` says what is too small.
  static var extent: Rule { Rule { $0 <= 1 << 16 ? nil : "must be at most 65536, not \($0)" } }
}

extension Convolution: ConfigurationSection {
  init() { self.init(channels: 0, kernel: 0) }

  static var title: String { "a conv layer" }
  static var fields: [Field<Convolution>] {
    [
      Field("channels", \.channels, required: true, .extent, "Output channels."),
      Field("kernel", \.kernel, required: true, .extent, "Height and width of a filter."),
      Field("stride", \.stride, .extent, "Pixels between two positions."),
      Field("padding", \.padding, .extent, "Zeros on every side."),
      Field(
        "ceil", \.ceil,
        "Round the number of positions up (the 2012 paper's code) instead of down; the last one"
          + " reads zeros."),
      Field("groups", \.groups, .extent, "2: the two towers of the 2012 paper."),
      Field("weight", \.weight, "Initial weights."),
      Field("bias", \.bias, "Initial biases."),
    ]
  }
}

extension FullyConnected: ConfigurationSection {
  init() { self.init(units: 0) }

  static var title: String { "an fc layer" }
  static var fields: [Field<FullyConnected>] {
    [
      Field(
        "units", \.units, required: true,
        Rule { $0 <= 1 << 24 ? nil : "must be at most \(1 << 24), not \($0)" }, "Outputs."),
      Field("form", \.form, "How FC nodes share it: auto, gather-input or scatter-output."),
      Field("weight", \.weight, "Initial weights."),
      Field("bias", \.bias, "Initial biases."),
    ]
  }
}

extension Pooling: ConfigurationSection {
  init() { self.init(window: 0, stride: 0) }

  static var title: String { "a pooling layer" }
  static var fields: [Field<Pooling>] {
    [
      Field("window", \.window, required: true, .extent, "Height and width."),
      Field(
        "stride", \.stride, required: true, .extent, "Pixels between two windows; fewer overlap."),
      Field("padding", \.padding, .extent, "Pixels on every side that never win."),
      Field("ceil", \.ceil, "Round the output size up (Caffe) instead of down (PyTorch)."),
    ]
  }
}

extension LocalResponseNormalization: ConfigurationSection {
  init() { self.init(size: 5) }

  static var title: String { "an lrn layer" }
  static var fields: [Field<LocalResponseNormalization>] {
    [
      Field(
        "region", \.region, "Neighbours: \"across-channels\" (paper) or \"within-channel\"."),
      Field("size", \.size, .extent, "Neighbours in a row, odd; within-channel: its square."),
      Field("alpha", \.alpha, "Factor of the sum of squares."),
      Field("beta", \.beta, "Exponent."),
      Field("k", \.k, "Constant under the exponent: the paper 2, PyTorch and Caffe 1."),
      Field(
        "divideBySize", \.divideBySize,
        "Divide alpha by the neighbours (Caffe, PyTorch) or not (paper)."),
    ]
  }
}

extension Dropout: ConfigurationSection {
  init() { self.init(rate: 0.5) }

  static var title: String { "a dropout layer" }
  static var fields: [Field<Dropout>] {
    [
      Field("rate", \.rate, "Probability of being dropped."),
      Field("scale", \.scale, "Where the expectation is restored: training or evaluation."),
    ]
  }
}

extension FullyConnected.Form: ConfigurationWord {}
extension Dropout.Scale: ConfigurationWord {}
extension LocalResponseNormalization.Region: ConfigurationWord {}

extension Initializer: ConfigurationValue {
  private enum Word: String, CaseIterable, ConfigurationWord {
    case kaiming, lecun
    case uniformFanIn = "uniform-fan-in"
  }

  /// A number is a constant, a word a rule, an object either with its argument.
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Initializer {
    switch json {
    case .int, .double:
      return .constant(try Float.read(json, at: path))
    case .string:
      switch try Word.read(json, at: path) {
      case .kaiming: return .kaiming
      case .lecun: return .lecun
      case .uniformFanIn: return .uniformFanIn
      }
    case .object(let members) where members.count == 1 && members[0].key == "normal":
      let deviation = try Float.read(members[0].value, at: path.key("normal"))
      guard deviation >= 0 else {
        throw path.key("normal").error("must be at least 0, not \(deviation)")
      }
      return .normal(deviation)
    case .object(let members) where members.count == 1 && members[0].key == "constant":
      return .constant(try Float.read(members[0].value, at: path.key("constant")))
    default:
      throw path.error(
        "expected a number, \"kaiming\", \"lecun\", \"uniform-fan-in\", {normal: DEVIATION} or"
          + " {constant: VALUE}, found \(json.found)")
    }
  }

  var json: JSONValue {
    switch self {
    case .constant(let value): value.json
    case .normal(let deviation): .object([.init("normal", deviation.json)])
    case .kaiming: .string(Word.kaiming.rawValue)
    case .lecun: .string(Word.lecun.rawValue)
    case .uniformFanIn: .string(Word.uniformFanIn.rawValue)
    }
  }
}
