import Testing

@testable import Configuration

@Suite struct DatasetConfigurationTests {
  private static func parse(_ dataset: String, preset: String = "fashion") throws
    -> DatasetConfiguration
  {
    try RunConfiguration.load(
      preset, overrides: [ConfigurationOverride("dataset=\(dataset)", option: "--set")]
    ).dataset
  }

  @Test(arguments: [
    "{kind: 'cifar', path: '/c', labels: 'coarse', normalize: 'mean-pixel'}",
    "{kind: 'folder', path: '/f', train: 'a', test: 'b', size: 40}",
    "{kind: 'prepared', path: '/p', test: 'train', augmentation: {flip: true, colorNoise: 0.1,"
      + " colorNoiseScale: 'variance', padding: 4, crop: 'center'}}",
    "{kind: 'idx', path: '/i', normalize: 'mean-channel', augmentation: {padding: 2}}",
  ])
  func `a data set of any kind is read as it is written`(text: String) throws {
    let dataset = try Self.parse(text)
    #expect(text.contains("'\(dataset.kind)'"))
    #expect(try Self.parse(dataset.json.lineText) == dataset)
  }

  @Test func `every word has its meaning`() throws {
    let prepared = try Self.parse(
      "{kind: 'prepared', path: '/p', normalize: 'mean-pixel', augmentation: {flip: true,"
        + " colorNoise: 0.1, colorNoiseScale: 'variance'}}")
    #expect(prepared.normalize == .pixelMean)
    #expect(prepared.augmentation.flip && prepared.augmentation.colorNoise == 0.1)
    #expect(prepared.augmentation.colorNoiseScale == .variance)
    #expect(prepared.augmentation.crop == .random)
    #expect(prepared.title == "/p")
  }

  @Test func `local shards are dealt by whole sub-batches`() throws {
    func load(_ overrides: String...) throws -> RunConfiguration {
      try RunConfiguration.load(
        "fashion",
        overrides: (["dataset={kind: 'prepared', path: '/p', shardGroups: 3}"] + overrides).map {
          ConfigurationOverride($0, option: "--set")
        })
    }
    let configuration = try load("schedule.kind=round-robin")
    #expect(configuration.subBatches == 3)
    #expect(configuration.dataset.shardGroups == 3)
    #expect {
      try load()
    } throws: {
      "\($0)".contains("schedule.kind: must be \"round-robin\" with dataset.shardGroups")
    }
    #expect {
      try load("schedule={kind: 'round-robin', subBatches: 4}")
    } throws: {
      "\($0)".contains("schedule.subBatches: must be 0 or the number of dataset.shardGroups, 3")
    }
    #expect(throws: ConfigurationError.self) {
      try load("schedule.kind=round-robin", "globalBatch=2", "cluster.workers=1")
    }
  }

  // AlexNet's pictures are 256 pixels for 224 and 227; small networks see all of theirs.
  @Test(arguments: [("alexnet-owt", 256), ("alexnet-2012", 256), ("fashion", 28)])
  func `pictures of a folder get a size that suits the network`(
    preset: String, expected: Int
  ) throws {
    guard case .folder(let folder) = try Self.parse("{kind: 'folder', path: '/f'}", preset: preset)
    else {
      Issue.record("not a folder")
      return
    }
    #expect(folder.size == expected)
  }

  @Test(arguments: [
    ("{kind: 'folder'}", "dataset.path: missing: a folder data set needs it"),
    ("{kind: 'cifar', path: ''}", "dataset.path: must not be empty"),
    ("{kind: 'prepared', path: '/p', labels: 'fine'}", "dataset.labels: not a key of a data set"),
    ("{kind: 'cifar', path: '/c', normalise: 'none'}", "did you mean \"normalize\"?"),
    (
      "{kind: 'folder', path: '/f', augmentation: {colorNoise: -1}}",
      "dataset.augmentation.colorNoise: must be between 0 and 10"
    ),
    (
      "{kind: 'folder', path: '/f', augmentation: {crop: 'middle'}}", "dataset.augmentation.crop: "
    ),
  ])
  func `what cannot be is refused by its key`(text: String, expected: String) {
    #expect {
      try Self.parse(text)
    } throws: {
      "\($0)".contains(expected)
    }
  }

  @Test func `keys that kinds share are explained once`() {
    let paths = RunConfiguration.documentation.map(\.path)
    #expect(paths.count { $0 == "dataset.augmentation.flip" } == 1)
    let flip = RunConfiguration.documentation.first { $0.path == "dataset.augmentation.flip" }
    #expect(flip?.help.hasPrefix("(idx, cifar, folder, prepared)") == true)
  }
}
