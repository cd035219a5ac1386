import Network
import Testing

@testable import Configuration

@Suite struct RunConfigurationTests {
  static func parse(
    _ text: String, _ overrides: [ConfigurationOverride] = []
  ) throws -> RunConfiguration {
    try RunConfiguration.parse(text: text, source: "run.json5", overrides: overrides)
  }

  @Test func `an empty configuration is the documented defaults around the network fashion`() throws
  {
    let configuration = try Self.parse("{}")
    #expect(configuration.network == (try RunConfiguration.preset(named: "fashion")).network)
    #expect(configuration.dataset == .idx(IDXDataset()))
    #expect(configuration.optimizer == OptimizerConfiguration())
    #expect(configuration.globalBatch == 128)
    #expect(configuration.epochs == 10)
    #expect(configuration.steps == nil)
    #expect(configuration.cluster.chunkBytes == 1 << 20)
    #expect(configuration.cluster.heartbeatMilliseconds == 500)
    #expect(configuration.cluster.memberTimeoutMilliseconds == 2800)
  }

  @Test func `every layer form is read`() throws {
    let configuration = try Self.parse(
      """
      { network: { input: [4, 16, 16], layers: [
        { type: 'conv', name: 'first', channels: 8, kernel: 3, stride: 2, padding: 1, groups: 2,
          weight: { normal: 0.01 }, bias: 0.1 },
        'relu', { type: 'tanh', name: 'squash' }, { type: 'lrn' },
        { type: 'maxpool', window: 3, stride: 2 },
        { type: 'averagepool', window: 2, stride: 2, padding: 1, ceil: true },
        { type: 'fc', units: 6, form: 'scatter-output', weight: 'lecun', bias: { constant: 1 } },
        'sigmoid', { type: 'dropout', rate: 0.25, scale: 'evaluation' },
        { type: 'fc', units: 5, weight: 'uniform-fan-in', bias: 'kaiming' },
      ] } }
      """)
    #expect(
      configuration.network.layers == [
        LayerSpec(
          .convolution(
            Convolution(
              channels: 8, kernel: 3, stride: 2, padding: 1, groups: 2, weight: .normal(0.01),
              bias: .constant(0.1))), name: "first"),
        LayerSpec(.activation(.relu)), LayerSpec(.activation(.tanh), name: "squash"),
        LayerSpec(.localResponseNormalization(LocalResponseNormalization())),
        LayerSpec(.pooling(Pooling(.max, window: 3, stride: 2))),
        LayerSpec(.pooling(Pooling(.average, window: 2, stride: 2, padding: 1, ceil: true))),
        LayerSpec(
          .fullyConnected(
            FullyConnected(
              units: 6, form: .scatterOutput, weight: .lecun, bias: .constant(1)))),
        LayerSpec(.activation(.sigmoid)),
        LayerSpec(.dropout(Dropout(rate: 0.25, scale: .evaluation))),
        LayerSpec(.fullyConnected(FullyConnected(units: 5, weight: .uniformFanIn, bias: .kaiming))),
      ])
    #expect(try Self.parse(configuration.resolvedJSON()) == configuration)
  }

  @Test(arguments: RunConfiguration.presetNames)
  func `a preset resolves to JSON that reads back as itself`(name: String) throws {
    let configuration = try RunConfiguration.preset(named: name)
    let text = configuration.resolvedJSON()
    let again = try RunConfiguration.parse(text: text, source: "config.json")
    #expect(again == configuration)
    #expect(again.resolvedJSON() == text)
    #expect(configuration.network.name == name)
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
  }

  @Test func `a value changed in every section survives the round trip`() throws {
    let configuration = try Self.parse(
      "{}",
      [
        "optimizer.learningRate=0.0123456789", "optimizer.momentum=0", "optimizer.rule=pytorch",
        "optimizer.biasLearningRateFactor=2", "optimizer.biasWeightDecay=false",
        "optimizer.decay={kind: 'steps', warmupSteps: 7, atEpochs: [2.5], atFractions: [1e-3]}",
        "globalBatch=37", "epochs=3", "steps=12345678901", "seed=9223372036854775807",
        "evaluation={everyEpochs: 0, everySteps: 9, atEnd: false}", "cluster.workers=5",
        "cluster.fcNodes=4", "cluster.chunkBytes=4096", "compute.convAlgorithm=direct",
        "compute.threadsPerNode=3", "logging.runDirectory=runs/\"odd\" näme\\",
        "logging.everySeconds=0.5", "dataset.normalize=none", "checkpoint={everySteps: 0, keep: 7}",
        "network.layers[2].alpha=3e-5", "network.layers[18].bias={normal: 0.1}",
      ])
    #expect(try Self.parse(configuration.resolvedJSON()) == configuration)
    #expect(configuration.steps == 12_345_678_901)
    #expect(configuration.seed == UInt64(Int.max))
    #expect(configuration.logging.runDirectory == "runs/\"odd\" näme\\")
  }

  @Test func `a synthetic data set takes its shape and classes from the network`() throws {
    let configuration = try Self.parse("{ dataset: { kind: 'synthetic', examples: 300 } }")
    guard case .synthetic(let dataset) = configuration.dataset else {
      Issue.record("not synthetic: \(configuration.dataset)")
      return
    }
    #expect(dataset.shape == [1, 28, 28])
    #expect(dataset.classes == 10)
  }

  @Test func `a file is read by its path and a missing one is named`() throws {
    #expect(
      throws: ConfigurationError(source: "/nowhere/run.json5", "no such file or directory")
    ) {
      try RunConfiguration.load("/nowhere/run.json5")
    }
    #expect(
      throws: ConfigurationError(
        source: "fashoin", "neither a file nor a preset; did you mean \"fashion\"?")
    ) {
      try RunConfiguration.load("fashoin")
    }
    #expect(try RunConfiguration.load(nil).network.name == "fashion")
    #expect(throws: ConfigurationError.self) { try RunConfiguration.load("/") }
  }

  @Test func `the documentation has every key of a resolved configuration`() throws {
    let documented = Set(RunConfiguration.documentation.map(\.path))
    func check(_ json: JSONValue, _ path: String) {
      guard case .object(let members) = json else { return }
      for member in members {
        let below = path.isEmpty ? member.key : "\(path).\(member.key)"
        #expect(documented.contains(below))
        check(member.value, below)
      }
    }
    check(try Self.parse("{}").json, "")
    check(try Self.parse("{ dataset: { kind: 'synthetic' } }").json, "")
  }
}
