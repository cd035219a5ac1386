/// Where the examples come from.
package enum DatasetConfiguration: Hashable, Sendable {
  case idx(IDXDataset)
  case synthetic(SyntheticDataset)

  /// "idx" or "synthetic".
  package var kind: String {
    switch self {
    case .idx: "idx"
    case .synthetic: "synthetic"
    }
  }

  package var normalize: Normalization {
    switch self {
    case .idx(let dataset): dataset.normalize
    case .synthetic: .none
    }
  }
}

/// What is done to pixels before the network sees them.
package enum Normalization: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
  /// `(x - mean) / deviation`, both computed for each channel over the whole training set.
  case meanDeviation = "mean-std"
  /// Pixels in 0...1 as they are.
  case none
}

/// Four files in the IDX format of MNIST, each plain or gzipped.
package struct IDXDataset: Hashable, Sendable, ConfigurationSection {
  /// Where Debian's package dataset-fashion-mnist puts its files.
  package static let fashionMNIST = "/usr/share/datasets/fashion-mnist"

  /// The folder of the four files.
  package var path = fashionMNIST
  package var trainImages = "train-images-idx3-ubyte"
  package var trainLabels = "train-labels-idx1-ubyte"
  package var testImages = "t10k-images-idx3-ubyte"
  package var testLabels = "t10k-labels-idx1-ubyte"
  package var normalize = Normalization.meanDeviation

  package init() {}

  static var title: String { "an idx data set" }
  static var fields: [Field<IDXDataset>] {
    [
      Field("path", \.path, .named, "The folder of the four files."),
      Field("trainImages", \.trainImages, .named, "File, also found with .gz after its name."),
      Field("trainLabels", \.trainLabels, .named, "File, also found with .gz after its name."),
      Field("testImages", \.testImages, .named, "File, also found with .gz after its name."),
      Field("testLabels", \.testLabels, .named, "File, also found with .gz after its name."),
      Field(
        "normalize", \.normalize, "\"mean-std\" of each channel of the training set, or \"none\"."),
    ]
  }
}

/// Examples drawn from the seed, for benchmarks and tests.
package struct SyntheticDataset: Hashable, Sendable, ConfigurationSection {
  /// Training examples.
  package var examples = 1024
  package var testExamples = 256
  /// `[C, H, W]`; a resolved configuration has the network's input here.
  package var shape: [Int]?
  /// A resolved configuration has the network's last layer here.
  package var classes: Int?

  package init() {}

  static var title: String { "a synthetic data set" }
  static var fields: [Field<SyntheticDataset>] {
    [
      Field("examples", \.examples, .between(1, 1 << 32), "Training examples."),
      Field("testExamples", \.testExamples, .between(1, 1 << 32), "Test examples."),
      Field(
        "shape", \.shape, .ifGiven(.imageShape), "[channels, height, width]; null: the network's."),
      Field("classes", \.classes, .ifGiven(.between(1, 1 << 24)), "null: the network's."),
    ]
  }
}

extension Rule where Value == String {
  static var named: Rule { Rule { $0.isEmpty ? "must not be empty" : nil } }
}

extension Rule where Value == [Int] {
  /// `[C, H, W]` of one example, bounded so that no later product of extents can overflow.
  static var imageShape: Rule {
    Rule { extents in
      guard extents.count == 3 else {
        return "expected [channels, height, width], found \(extents)"
      }
      return Rule<[Int]>.each(.between(1, 1 << 16)).violation(extents)
    }
  }
}

extension DatasetConfiguration: ConfigurationValue {
  private enum Kind: String, CaseIterable, ConfigurationWord { case idx, synthetic }

  static var keys: [ConfigurationKey] {
    [
      ConfigurationKey(
        path: "kind", help: "\"idx\" or \"synthetic\", which decides the other keys.",
        defaultText: "\"idx\"")
    ] + IDXDataset.keys.map { $0.annotated("idx") }
      + SyntheticDataset.keys.map { $0.annotated("synthetic") }
  }

  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> DatasetConfiguration {
    guard case .object(let members) = json else {
      throw path.error("expected an object, found \(json.found)")
    }
    var kind = Kind.idx
    if let word = json["kind"] { kind = try Kind.read(word, at: path.key("kind")) }
    // A key of the other kind is no slip of the finger: `--set dataset.kind=synthetic` over a file
    // that has a path.
    let (own, other) =
      kind == .idx
      ? (IDXDataset.keys, SyntheticDataset.keys) : (SyntheticDataset.keys, IDXDataset.keys)
    for member in members where !own.contains(where: { $0.path == member.key }) {
      guard other.contains(where: { $0.path == member.key }) else { continue }
      throw path.key(member.key).error(
        "not a key of a data set of kind \"\(kind.rawValue)\"; to change the kind, replace the whole"
          + " object: --set 'dataset={kind: \"\(kind.rawValue)\"}'")
    }
    switch kind {
    case .idx: return .idx(try IDXDataset.readFields(json, at: path, known: ["kind"]))
    case .synthetic:
      return .synthetic(try SyntheticDataset.readFields(json, at: path, known: ["kind"]))
    }
  }

  var json: JSONValue {
    let section: JSONValue =
      switch self {
      case .idx(let dataset): dataset.json
      case .synthetic(let dataset): dataset.json
      }
    return section.with("kind", .string(kind))
  }
}
