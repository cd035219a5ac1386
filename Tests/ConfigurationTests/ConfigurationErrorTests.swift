import Testing

@testable import Configuration

@Suite struct ConfigurationErrorTests {
  /// The line that a text (and overrides) gives, or "" if it is accepted.
  static func line(_ text: String, _ overrides: [ConfigurationOverride] = []) -> String {
    do throws(ConfigurationError) {
      _ = try RunConfiguration.parse(text: text, source: "run.json5", overrides: overrides)
      return ""
    } catch {
      return error.description
    }
  }

  @Test(arguments: [
    (
      "{ optimizer: { learningrate: 0.1 } }",
      "run.json5: optimizer.learningrate: unknown key; did you mean \"learningRate\"?"
    ),
    (
      "{ optimiser: {} }", "run.json5: optimiser: unknown key; did you mean \"optimizer\"?"
    ),
    (
      "{ learning_rate: 0.1, learningRate: 0.1 }",
      "run.json5: learningRate: unknown key; did you mean \"optimizer.learningRate\"?"
    ),
    (
      "{ evaluation: { zebra: 1 } }",
      "run.json5: evaluation.zebra: unknown key; evaluation has everyEpochs, everySteps, atEnd, earlyStop"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", unit: 10 }] } }",
      "run.json5: network.layers[0].unit: unknown key; did you mean \"units\"?"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"relu\", rate: 1 }, { type: \"fc\", units: 2 }] } }",
      "run.json5: network.layers[0].rate: unknown key; an elementwise layer has type, name"
    ),
  ])
  func `an unknown key names the nearest known one`(text: String, expected: String) {
    #expect(Self.line(text) == expected)
  }

  @Test(arguments: [
    ("{ epochs: \"ten\" }", "epochs: expected a whole number, found the string \"ten\""),
    ("{ epochs: 1.5 }", "epochs: expected a whole number, found the number 1.5"),
    ("{ seed: true }", "seed: expected a whole number, found true"),
    ("{ seed: -1 }", "seed: must be at least 0, not -1"),
    (
      "{ optimizer: { learningRate: [0.1] } }",
      "optimizer.learningRate: expected a number, found a list"
    ),
    (
      "{ optimizer: { learningRate: NaN } }",
      "optimizer.learningRate: expected a finite number, found the number NaN"
    ),
    ("{ optimizer: 0.1 }", "optimizer: expected an object, found the number 0.1"),
    ("[1]", "expected an object, found a list"),
    (
      "{ evaluation: { atEnd: 1 } }", "evaluation.atEnd: expected true or false, found the number 1"
    ),
    ("{ dataset: { path: null } }", "dataset.path: expected a string, found null"),
    (
      "{ network: { input: [1, 8, 8], layers: [7] } }",
      "network.layers[0]: expected a layer, an object or its type as a string, found the number 7"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: { type: \"fc\" } } }",
      "network.layers: expected a list, found an object"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", units: 2, weight: { normal: 1, constant: 2 } }] } }",
      "network.layers[0].weight: expected a number, \"kaiming\", \"lecun\", \"uniform-fan-in\","
        + " {normal: DEVIATION} or {constant: VALUE}, found an object"
    ),
  ])
  func `a wrong type names what was expected and what was found`(text: String, expected: String) {
    #expect(Self.line(text) == "run.json5: \(expected)")
  }

  @Test(arguments: [
    (
      "{ compute: { convAlgorithm: \"winograd\" } }",
      "compute.convAlgorithm: expected one of \"auto\", \"direct\", found \"winograd\""
    ),
    (
      "{ optimizer: { rule: \"pytorhc\" } }",
      "optimizer.rule: expected one of \"paper-2012\", \"pytorch\", found \"pytorhc\";"
        + " did you mean \"pytorch\"?"
    ),
    (
      "{ schedule: { kind: \"scattered\", subBatches: 4000 } }",
      "schedule.subBatches: 4000 sub-batches cannot share a global batch of 128 examples"
    ),
    (
      "{ consistency: \"ssp:3\" }",
      "consistency: \"ssp:3\" is not built yet; this version has \"bsp\""
    ),
    (
      "{ precision: \"fp16\" }",
      "precision: expected one of \"fp32\", \"bf16\", found \"fp16\""
    ),
    (
      "{ schedule: { fcUpdate: \"per-sub-batch\" } }",
      "schedule.fcUpdate: \"per-sub-batch\" needs sub-batches: set kind to \"scattered\" or"
        + " \"round-robin\""
    ),
    (
      "{ schedule: { kind: \"scattered\", fcUpdate: \"per-sub-batch\" } }",
      "schedule.subBatches: must be given with fcUpdate \"per-sub-batch\": the result depends on it,"
        + " and must not on the number of workers"
    ),
    (
      "{ schedule: { kind: \"scattered\", subBatches: 3, fcUpdate: \"per-sub-batch\" } }",
      "schedule.subBatches: must divide the global batch of 128 with fcUpdate \"per-sub-batch\", so"
        + " that every update sees as many examples; 3 does not"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", units: 9 }], sampleRate: 0 } }",
      "network.sampleRate: must be above 0 and at most 1, not 0"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", units: 9, form: \"scatter-output\" }],"
        + " sampleRate: 0.5 } }",
      "network.layers[0].form: must be gather-input with a sampleRate below 1: a node draws among the"
        + " classes whose weights it has whole"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", units: 9 }], sampleRate: 0.5,"
        + " loss: \"logistic\" } }",
      "network.sampleRate: needs the loss \"softmax\""
    ),
    (
      "{ network: \"alexnet-own\" }",
      "network: no preset is called \"alexnet-own\"; did you mean \"alexnet-owt\"?"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [\"convv\"] } }",
      "network.layers[0].type: expected one of \"conv\", \"relu\", \"tanh\", \"sigmoid\", \"lrn\","
        + " \"maxpool\", \"averagepool\", \"fc\", \"dropout\", found \"convv\"; did you mean \"conv\"?"
    ),
  ])
  func `a wrong word lists the right ones`(text: String, expected: String) {
    #expect(Self.line(text) == "run.json5: \(expected)")
  }

  @Test(arguments: [
    (
      "{ optimizer: { learningRate: -0.1 } }", "optimizer.learningRate: must be above 0, not -0.1"
    ),
    (
      "{ optimizer: { momentum: 1 } }",
      "optimizer.momentum: must be at least 0 and below 1, not 1"
    ),
    ("{ cluster: { workers: 0 } }", "cluster.workers: must be between 1 and 4096, not 0"),
    ("{ globalBatch: 0 }", "globalBatch: must be between 1 and 1048576, not 0"),
    (
      "{ cluster: { chunkBytes: 1026 } }",
      "cluster.chunkBytes: must be a multiple of 4, the bytes of a float, not 1026"
    ),
    (
      "{ cluster: { chunkBytes: 1 } }",
      "cluster.chunkBytes: must be between 64 and 4194304, not 1"
    ),
    (
      "{ schedule: { subBatches: 2 } }",
      "schedule.subBatches: must be 1 with the schedule \"gathered\", not 2"
    ),
    (
      "{ globalBatch: 2, cluster: { workers: 3 } }",
      "cluster.workers: 3 workers cannot share a global batch of 2 examples"
    ),
    (
      "{ cluster: { fcNodes: 11 } }",
      "cluster.fcNodes: 11 FC nodes cannot share the 10 units of fc7"
    ),
    (
      "{ cluster: { fcNodes: 1, fcMirror: true } }",
      "cluster.fcMirror: needs cluster.fcNodes of 2 or more: a node cannot mirror itself"
    ),
    (
      "{ cluster: { fcNodes: 2, fcMirror: true }, checkpoint: { everySteps: 100 }, wire: { activations: \"bf16\" } }",
      "cluster.fcMirror: needs wire.activations \"fp32\": of rounded ones the mirror has other values than the node"
    ),
    (
      "{ cluster: { fcNodes: 2, fcMirror: true }, checkpoint: { everySteps: 0, everyMinutes: 0 } }",
      "cluster.fcMirror: needs checkpoints (checkpoint.everySteps or everyMinutes): the lost slice goes through one"
    ),
    (
      "{ cluster: { memberTimeoutMilliseconds: 900 } }",
      "cluster.memberTimeoutMilliseconds: must be at least two heartbeats (500 ms each), not 900"
    ),
    (
      "{ optimizer: { decay: { kind: \"steps\" } } }",
      "optimizer.decay: the kind \"steps\" needs atFractions or atEpochs"
    ),
    (
      "{ optimizer: { decay: { kind: \"steps\", atFractions: [50] } } }",
      "optimizer.decay.atFractions: must be parts of the run in 0...1, not 50"
    ),
    (
      "{ optimizer: { decay: { kind: \"cosine\", atEpochs: [2] } } }",
      "optimizer.decay.atEpochs: belongs to the kind \"steps\", not to \"cosine\""
    ),
    (
      "{ epochs: 3, optimizer: { decay: { kind: \"steps\", atEpochs: [2, 3] } } }",
      "optimizer.decay.atEpochs: epoch 3 is not within the 3 epochs of the run"
    ),
    (
      "{ dataset: { kind: \"synthetic\", path: \"x\" } }",
      "dataset.path: not a key of a data set of kind \"synthetic\"; to change the kind, replace the"
        + " whole object: --set 'dataset={kind: \"synthetic\"}', or with this key a kind that has it:"
        + " idx, cifar, folder, prepared"
    ),
    (
      "{ dataset: { kind: \"synthetic\", shape: [3, 8, 8] } }",
      "network.input: the data set's examples are 3x8x8, the network's input is 1x28x28"
    ),
    (
      "{ dataset: { kind: \"synthetic\", classes: 11 } }",
      "network.layers[18].units: the data set has 11 classes, the network's last layer 10 units"
    ),
    (
      "{ dataset: { kind: \"synthetic\", examples: 4294967296 } }",
      "dataset.examples: must be between 1 and 4294967295, not 4294967296"
    ),
    (
      "{ network: { input: [1, 8, 8], layers: [{ type: \"fc\", units: 9 }], sampleRate: 1e-50 } }",
      "network.sampleRate: must be above 0 and at most 1, not 1e-50"
    ),
    (
      "{ optimizer: { decay: { warmupEpochs: 11 } } }",
      "optimizer.decay.warmupEpochs: must be at most the 10 epochs of the run, not 11"
    ),
    (
      "{ optimizer: { decay: { warmupEpochs: 1e30 } } }",
      "optimizer.decay.warmupEpochs: must be between 0 and 1048576, not 1e+30"
    ),
    (
      "{ cluster: { workers: 2, minimumWorkers: 3 } }",
      "cluster.minimumWorkers: a run of 2 workers would wait for 3 for ever; take at most as many as"
        + " cluster.workers"
    ),
  ])
  func `a value out of range is refused`(text: String, expected: String) {
    #expect(Self.line(text) == "run.json5: \(expected)")
  }

  static func network(
    _ layers: String, input: String = "[4, 8, 8]", _ more: String = ""
  ) -> String {
    "{ network: { input: \(input), layers: [\(layers)] }, \(more) }"
  }

  private static let wide =
    "{ type: 'conv', channels: 32, kernel: 3, padding: 1 }, 'relu', { type: 'fc', units: 10"
  private static let tooWide = "more than the 1048576 of a message's longest row"

  @Test(arguments: [
    (
      network("\(wide) }", input: "[3, 224, 224]"),
      "cluster.fcNodes: an FC node would own 1605632 features of the conv layers, \(tooWide): take 2"
        + " FC nodes or more"
    ),
    (
      network(
        "\(wide), form: 'gather-input' }", input: "[3, 224, 224]", "cluster: { fcNodes: 2 }"),
      "network.layers[2].form: an FC node's weights of fc2 would have 1605632 columns, \(tooWide):"
        + " \"scatter-output\" cuts them among the FC nodes"
    ),
    (
      network(
        "\(wide) }", input: "[3, 224, 224]", "cluster: { fcNodes: 2, fcLoss: 'recut' }"),
      "cluster.fcLoss: \"recut\" may leave one FC node, and an FC node would own 1605632 features of"
        + " the conv layers, \(tooWide): set \"wait\""
    ),
    (network("\(wide) }", input: "[3, 224, 224]", "cluster: { fcNodes: 2 }"), ""),
    // The largest: 1048576 features, and 1023 rows of which two do not fit a frame.
    (network("{ type: 'fc', units: 2 }", input: "[1, 1024, 1024]", "globalBatch: 1023"), ""),
    (
      network("{ type: 'fc', units: 2 }", input: "[1, 1024, 1024]", "globalBatch: 1024"),
      "cluster.fcNodes: a message would have 1025 frames, more than 1024: take more FC nodes, more"
        + " schedule.subBatches, a smaller globalBatch or a larger cluster.minimumWorkers"
    ),
    (
      network(
        "{ type: 'fc', units: 2 }", input: "[1, 1024, 1024]",
        "globalBatch: 2046, schedule: { kind: 'scattered', subBatches: 2 }"), ""
    ),
    (
      network(
        "{ type: 'fc', units: 2 }", input: "[1, 1024, 1024]",
        "globalBatch: 2046, cluster: { workers: 2, minimumWorkers: 2 }"), ""
    ),
  ])
  func `slices that do not go into messages are refused`(text: String, expected: String) {
    #expect(Self.line(text) == (expected.isEmpty ? "" : "run.json5: \(expected)"))
  }

  @Test(arguments: [
    (
      network("{ type: 'conv', channels: 8, kernel: 3, groups: 3 }, { type: 'fc', units: 2 }"),
      "network.layers[0].groups: 3 groups do not divide the 4 input channels"
    ),
    (
      network("'relu', { type: 'maxpool', window: 9, stride: 2 }, { type: 'fc', units: 2 }"),
      "network.layers[1].window: 9 is larger than its input, 4x8x8"
    ),
    (
      network("{ type: 'conv', channels: 8, kernel: 9 }, { type: 'fc', units: 2 }"),
      "network.layers[0].kernel: 9 is larger than its padded input, 4x8x8 with padding 0"
    ),
    (
      network("{ type: 'conv', kernel: 3 }"),
      "network.layers[0].channels: missing: a conv layer needs it"
    ),
    (network("{ name: 'x' }"), "network.layers[0].type: missing: every layer needs it"),
    (
      network("'relu'"),
      "network.layers: no fc layer: the last layer must be an fc with one unit a class"
    ),
    (
      network("{ type: 'fc', units: 2 }", input: "[4, 8]"),
      "network.input: expected [channels, height, width], found [4, 8]"
    ),
    (
      network("{ type: 'fc', units: 2 }", input: "[4, 0, 8]"),
      "network.input: must be between 1 and 65536, not 0"
    ),
    (
      network("{ type: 'fc', units: 16777216 }", input: "[65536, 65536, 65536]"),
      "network.layers[0]: weights of 16777216x281474976710656 are more than this program can address"
    ),
    ("{ network: { layers: [] } }", "network.input: missing: a network needs it"),
  ])
  func `an impossible shape names the layer and the field`(text: String, expected: String) {
    #expect(Self.line(text) == "run.json5: \(expected)")
  }

  @Test(arguments: [
    ("{\n  epochs: 3\n  seed: 1\n}", "line 3, column 3: found 's' where ',' or '}' was expected"),
    ("{ epochs: }", "line 1, column 11: found '}' where a value was expected"),
    ("{ epochs: ten }", "line 1, column 11: ten is neither a number nor a quoted string"),
    ("{ epochs: 3", "line 1, column 1: '{' is never closed"),
    ("", "line 1, column 1: the text ends where a value was expected"),
    ("{ a: 'x\n }", "line 1, column 6: a string is not closed on its line"),
    ("{} {}", "line 1, column 4: found '{' after the end of the document"),
    ("{ /* }", "line 1, column 3: a comment is never closed"),
    ("{\n epochs: 1,\n epochs: 2 }", "line 3, column 2: the key \"epochs\" is given twice"),
    ("{ epochs: [1, 2 }", "line 1, column 17: found '}' where ',' or ']' was expected"),
    ("{ epochs 3 }", "line 1, column 10: found '3' where ':' was expected after \"epochs\""),
  ])
  func `a syntax error has a line and a column`(text: String, expected: String) {
    #expect(Self.line(text) == "run.json5: \(expected)")
  }

  @Test func `a nest of brackets is refused, not followed`() {
    let text = String(repeating: "[", count: 100_000)
    #expect(Self.line(text) == "run.json5: line 1, column 201: nested too deeply")
  }
}
