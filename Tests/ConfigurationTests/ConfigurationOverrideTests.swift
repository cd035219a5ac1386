import Network
import Tensors
import Testing

@testable import Configuration

@Suite struct ConfigurationOverrideTests {
  private static let presets = RunConfiguration.presetNames.joined(separator: ", ")

  @Test func `an override wins over the file and a later one over an earlier one`() throws {
    let configuration = try RunConfigurationTests.parse(
      "{ epochs: 5, seed: 3 }", ["epochs=6", "epochs=7"])
    #expect(configuration.epochs == 7)
    #expect(configuration.seed == 3)
  }

  @Test func `a path reaches into lists, also of a network that is only named`() throws {
    let configuration = try RunConfigurationTests.parse(
      "{ network: 'lenet5' }",
      ["network.layers[0].channels=8", "network.layers[1]=relu", "optimizer.decay.kind=owt"])
    guard case .convolution(let first) = configuration.network.layers[0].operation else {
      Issue.record("no conv layer")
      return
    }
    #expect(first.channels == 8)
    #expect(configuration.network.layers[1].operation == .activation(.relu))
    #expect(configuration.optimizer.decay.kind == .owt)
  }

  @Test func `a network can be replaced by name`() throws {
    let configuration = try RunConfigurationTests.parse(
      "{}", ["network=lenet5", "network.layers[8].units=60"])
    #expect(configuration.network.name == "lenet5")
    #expect(try configuration.networkPlan().fullyConnected[0].output == Shape(60))
  }

  @Test(arguments: [
    ("logging.runDirectory=runs/first", "runs/first"),
    ("logging.runDirectory='123'", "123"),
    ("logging.runDirectory=a=b", "a=b"),
    ("logging.runDirectory=", ""),
  ])
  func `a value that is no JSON5 is a string`(text: String, expected: String) throws {
    let configuration = try RunConfigurationTests.parse("{}", [ConfigurationOverride(text)])
    #expect(configuration.logging.runDirectory == expected)
  }

  @Test(arguments: [
    ("epochs", "--set epochs: expected KEY=VALUE"),
    ("=3", "--set =3: expected KEY=VALUE"),
    (
      "a..b=3",
      "--set a..b=3: \"a..b\" is no key path; expected keys like network.layers[2].channels"
    ),
    (
      "network.layers[x]=3",
      "--set network.layers[x]=3: \"network.layers[x]\" is no key path;"
        + " expected keys like network.layers[2].channels"
    ),
    (
      "network.layers[40].channels=3",
      "--set network.layers[40].channels=3: network.layers has 19 entries, counted from 0"
    ),
    (
      "network.layers[1].rate=3",
      "--set network.layers[1].rate=3: network.layers[1] is the string \"relu\","
        + " which has no key \"rate\""
    ),
    ("epochs[0]=3", "--set epochs[0]=3: epochs is not written out, so it has no entries"),
    (
      "network[0]=3", "--set network[0]=3: network is an object, which has no entries"
    ),
    (
      "optimizer.lerningRate=1",
      "--set optimizer.lerningRate=1: optimizer.lerningRate: unknown key;"
        + " did you mean \"learningRate\"?"
    ),
    (
      "optimizer.learningRate=fast",
      "--set optimizer.learningRate=fast: optimizer.learningRate: expected a number,"
        + " found the string \"fast\""
    ),
    (
      "optimizer={learningRate: 0}",
      "--set optimizer={learningRate: 0}: optimizer.learningRate: must be above 0, not 0"
    ),
    (
      "optimizer={learningRate 1}",
      "--set optimizer={learningRate 1}: line 1, column 15:"
        + " found '1' where ':' was expected after \"learningRate\""
    ),
    (
      "network.layers[4].groups=3",
      "--set network.layers[4].groups=3: network.layers[4].groups:"
        + " 3 groups do not divide the 16 input channels"
    ),
    (
      "network=resnet",
      "--set network=resnet: network: no preset is called \"resnet\"; there are \(presets)"
    ),
  ])
  func `an error names the option`(text: String, expected: String) {
    #expect(ConfigurationErrorTests.line("{}", [ConfigurationOverride(text)]) == expected)
  }

  @Test func `an option that stands for a key is named as it was written`() {
    let line = ConfigurationErrorTests.line(
      "{}", [ConfigurationOverride("cluster.fcNodes", value: .int(11), option: "--fc-nodes 11")])
    #expect(
      line == "--fc-nodes 11: cluster.fcNodes: 11 FC nodes cannot share the 10 units of fc7")
  }

  @Test func `an error of the file is not blamed on an override of another key`() {
    #expect(
      ConfigurationErrorTests.line("{ epochs: 0 }", ["seed=2", "cluster.workers=2"])
        == "run.json5: epochs: must be between 1 and 1048576, not 0")
  }
}
