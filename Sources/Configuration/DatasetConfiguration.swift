/// Where the examples come from.
package enum DatasetConfiguration: Hashable, Sendable {
  case idx(IDXDataset)
  case cifar(CIFARFiles)
  case folder(ImageFolderFiles)
  case prepared(PreparedFiles)
  case synthetic(SyntheticDataset)

  /// The word of the key "kind".
  package var kind: String { word.rawValue }

  /// What is done to pixels before the network sees them.
  package var normalize: Normalization {
    switch self {
    case .idx(let dataset): dataset.normalize
    case .cifar(let dataset): dataset.normalize
    case .folder(let dataset): dataset.normalize
    case .prepared(let dataset): dataset.normalize
    case .synthetic: .none
    }
  }

  /// How training examples are varied.
  package var augmentation: AugmentationConfiguration {
    switch self {
    case .idx(let dataset): dataset.augmentation
    case .cifar(let dataset): dataset.augmentation
    case .folder(let dataset): dataset.augmentation
    case .prepared(let dataset): dataset.augmentation
    case .synthetic: AugmentationConfiguration()
    }
  }

  /// Parts of the training shards, where workers have only their own.
  package var shardGroups: Int? {
    if case .prepared(let dataset) = self { dataset.shardGroups } else { nil }
  }

  /// Of the examples that are read, as much may be broken; other kinds are in memory or whole when
  /// they are opened.
  package var maxBrokenFraction: Double {
    switch self {
    case .folder(let dataset): dataset.maxBrokenFraction
    case .prepared(let dataset): dataset.maxBrokenFraction
    case .idx, .cifar, .synthetic: 0
    }
  }

  /// What people call it: a path, or that the examples are made up.
  package var title: String {
    switch self {
    case .idx(let dataset): dataset.path
    case .cifar(let dataset): dataset.path
    case .folder(let dataset): dataset.path
    case .prepared(let dataset): dataset.path
    case .synthetic(let dataset): "\(dataset.examples) synthetic examples"
    }
  }
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
  package var augmentation = AugmentationConfiguration()

  package init() {}

  static var title: String { "an idx data set" }
  static var fields: [Field<IDXDataset>] {
    [
      Field("path", \.path, .named, "The folder of the four files."),
      Field("trainImages", \.trainImages, .named, "File, also found with .gz after its name."),
      Field("trainLabels", \.trainLabels, .named, "File, also found with .gz after its name."),
      Field("testImages", \.testImages, .named, "File, also found with .gz after its name."),
      Field("testLabels", \.testLabels, .named, "File, also found with .gz after its name."),
      .normalize(\.normalize),
      .augmentation(\.augmentation),
    ]
  }
}

/// CIFAR-10 or CIFAR-100 in the binary version of their page.
package struct CIFARFiles: Hashable, Sendable, ConfigurationSection {
  /// Which of CIFAR-100's two labels counts.
  package enum Labels: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    case fine, coarse
  }

  /// The folder of the files.
  package var path = ""
  package var labels = Labels.fine
  package var normalize = Normalization.meanDeviation
  package var augmentation = AugmentationConfiguration()

  package init() {}

  static var title: String { "a cifar data set" }
  static var fields: [Field<CIFARFiles>] {
    [
      Field(
        "path", \.path, required: true, .named,
        "The folder of data_batch_1.bin ... (CIFAR-10) or train.bin and test.bin (CIFAR-100)."),
      Field("labels", \.labels, "Of CIFAR-100: \"fine\" (100 classes) or \"coarse\" (20)."),
      .normalize(\.normalize),
      .augmentation(\.augmentation),
    ]
  }
}

/// JPEG and PNG files in a folder for each class.
package struct ImageFolderFiles: Hashable, Sendable, ConfigurationSection {
  package var path = ""
  /// Below `path`.
  package var train: String?
  /// Below `path`.
  package var test: String?
  /// A resolved configuration has a number here.
  package var size: Int?
  package var maxBrokenFraction = 0.01
  package var normalize = Normalization.meanDeviation
  package var augmentation = AugmentationConfiguration()

  package init() {}

  static var title: String { "a folder data set" }
  static var fields: [Field<ImageFolderFiles>] {
    [
      Field("path", \.path, required: true, .named, "The folder of the pictures."),
      Field(
        "train", \.train, .ifGiven(.named),
        "The folder in it that has a folder for each class; null: \"train\" or path itself."),
      Field(
        "test", \.test, .ifGiven(.named),
        "The same for the test set; null: \"test\", \"val\" or \"validation\"."),
      Field(
        "size", \.size, .ifGiven(.between(1, 1 << 14)),
        "Pictures are scaled to this shorter side and cut square; null: 256 for networks that see"
          + " 128 to 256 pixels, else what the network sees."),
      .maxBrokenFraction(\.maxBrokenFraction),
      .normalize(\.normalize),
      .augmentation(\.augmentation),
    ]
  }

  /// The size that pictures get for a network that sees `extent` pixels.
  static func size(forInput extent: Int) -> Int { (128...256).contains(extent) ? 256 : extent }
}

/// What `crosscut data prepare` has made.
package struct PreparedFiles: Hashable, Sendable, ConfigurationSection {
  package var path = ""
  /// The set that the network is tested on.
  package var test: String?
  /// So many parts of the training shards, each with rows of its own in every step; `nil`: every
  /// worker has all shards.
  package var shardGroups: Int?
  package var maxBrokenFraction = 0.01
  package var normalize = Normalization.meanDeviation
  package var augmentation = AugmentationConfiguration()

  package init() {}

  static var title: String { "a prepared data set" }
  static var fields: [Field<PreparedFiles>] {
    [
      Field(
        "path", \.path, required: true, .named,
        "The folder that crosscut data prepare has written."),
      Field(
        "test", \.test, .ifGiven(.named),
        "What to test on: \"test\" or \"train\"; null: \"test\"."),
      Field(
        "shardGroups", \.shardGroups, .ifGiven(.between(1, 512)),
        "Local shards: shard s of the training set belongs to group s mod shardGroups, each group"
          + " gives its part of every step, and a worker needs only the shards of some groups"
          + " (the server deals by who has what) beside the test set. Wants schedule.kind"
          + " \"round-robin\". null: every worker has all shards."),
      .maxBrokenFraction(\.maxBrokenFraction),
      .normalize(\.normalize),
      .augmentation(\.augmentation),
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
      Field("examples", \.examples, .between(1, 1 << 32 - 1), "Training examples."),
      Field("testExamples", \.testExamples, .between(1, 1 << 32 - 1), "Test examples."),
      Field(
        "shape", \.shape, .ifGiven(.imageShape), "[channels, height, width]; null: the network's."),
      Field("classes", \.classes, .ifGiven(.between(1, 1 << 24)), "null: the network's."),
    ]
  }
}

extension Field {
  /// More let a run live with worse data and train on something else than was meant; fewer stop it
  /// for what a few pictures do not change.
  static func maxBrokenFraction(_ path: WritableKeyPath<Section, Double>) -> Field {
    Field(
      "maxBrokenFraction", path, .between(0, 1),
      "Examples that cannot be read are named in the log and the next ones take their place. The run"
        + " ends when more than this share of the examples read so far are such, and at least 10 are;"
        + " 0: with the first.")
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
  private enum Kind: String, CaseIterable, ConfigurationWord {
    case idx, cifar, folder, prepared, synthetic

    var keys: [ConfigurationKey] {
      switch self {
      case .idx: IDXDataset.keys
      case .cifar: CIFARFiles.keys
      case .folder: ImageFolderFiles.keys
      case .prepared: PreparedFiles.keys
      case .synthetic: SyntheticDataset.keys
      }
    }
  }

  private var word: Kind {
    switch self {
    case .idx: .idx
    case .cifar: .cifar
    case .folder: .folder
    case .prepared: .prepared
    case .synthetic: .synthetic
    }
  }

  static var keys: [ConfigurationKey] {
    var keys = [
      ConfigurationKey(
        path: "kind",
        help: Kind.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
          + ", which decides the other keys.",
        defaultText: "\"idx\"")
    ]
    // What several kinds have in common stands once.
    var listed: Set<ConfigurationKey> = []
    for kind in Kind.allCases {
      for key in kind.keys where listed.insert(key).inserted {
        let sharers = Kind.allCases.filter { $0.keys.contains(key) }.map(\.rawValue)
        keys.append(key.annotated(sharers.joined(separator: ", ")))
      }
    }
    return keys
  }

  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> DatasetConfiguration {
    guard case .object(let members) = json else {
      throw path.error("expected an object, found \(json.found)")
    }
    var kind = Kind.idx
    if let word = json["kind"] { kind = try Kind.read(word, at: path.key("kind")) }
    // A key of another kind is no slip of the finger: `--set dataset.kind=synthetic` over a file
    // that has a path.
    for member in members where !kind.keys.contains(where: { $0.path == member.key }) {
      let others = Kind.allCases.filter { $0.keys.contains { $0.path == member.key } }
      guard !others.isEmpty else { continue }
      throw path.key(member.key).error(
        "not a key of a data set of kind \"\(kind.rawValue)\"; to change the kind, replace the whole"
          + " object: --set 'dataset={kind: \"\(kind.rawValue)\"}', or with this key a kind that has"
          + " it: \(others.map(\.rawValue).joined(separator: ", "))")
    }
    switch kind {
    case .idx: return .idx(try .readFields(json, at: path, known: ["kind"]))
    case .cifar: return .cifar(try .readFields(json, at: path, known: ["kind"]))
    case .folder: return .folder(try .readFields(json, at: path, known: ["kind"]))
    case .prepared: return .prepared(try .readFields(json, at: path, known: ["kind"]))
    case .synthetic: return .synthetic(try .readFields(json, at: path, known: ["kind"]))
    }
  }

  var json: JSONValue {
    let section: JSONValue =
      switch self {
      case .idx(let dataset): dataset.json
      case .cifar(let dataset): dataset.json
      case .folder(let dataset): dataset.json
      case .prepared(let dataset): dataset.json
      case .synthetic(let dataset): dataset.json
      }
    return section.with("kind", .string(kind))
  }
}
