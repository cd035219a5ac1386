import Foundation
import Testing

/// What people see when they mistype, or when there is nothing there.
@Suite(.timeLimit(.minutes(30)))
struct CommandLineTests {
  @Test(arguments: [
    (["trian"], "crosscut: unknown command \"trian\"; did you mean \"train\"?\n"),
    (
      ["train", "--worker", "2"],
      "crosscut train: unknown option --worker; did you mean --workers?\n"
    ),
    (
      ["worker"],
      "crosscut worker: missing --server ENDPOINT (or CROSSCUT_SERVER), or --join TOKEN\n"
    ),
    (
      ["worker", "--server", "localhost"],
      "crosscut worker: --server \"localhost\": expected an address like tcp://host:5555\n"
    ),
    (
      ["status", "--server", "tcp://localhost"],
      "crosscut status: --server \"tcp://localhost\": expected a host and a port, like "
        + "tcp://host:5555\n"
    ),
  ])
  func `a mistake on the command line is one line and exit code 2`(
    arguments: [String], expected: String
  ) throws {
    let program = try Program(arguments)
    #expect(program.finish() == 2)
    #expect(program.output == expected)
  }

  @Test func `a mistake in a variable is one line with its name`() throws {
    for (variables, expected) in [
      (
        ["CROSSCUT_SERVER": "localhost"],
        "crosscut worker: CROSSCUT_SERVER \"localhost\": expected an address like "
          + "tcp://host:5555\n"
      ),
      (
        ["CROSSCUT_RANK_HINT": "first", "CROSSCUT_SERVER": "tcp://127.0.0.1:1"],
        "crosscut worker: CROSSCUT_RANK_HINT expects a whole number from 0 to 4095, not "
          + "\"first\"\n"
      ),
    ] {
      let program = try Program(["worker"], environment: variables)
      #expect(program.finish() == 2)
      #expect(program.output == expected)
    }
  }

  @Test func `the command line wins over the environment, in child processes too`() throws {
    let scratch = try Scratch()
    let program = try Program(
      [
        "train", "lenet5", "--workers", "1", "--run-dir", "\(scratch.path)/run", "--listen",
        "tcp://127.0.0.1:0",
      ],
      environment: [
        // Two steps; the server would wait for a third worker for ever if it saw CROSSCUT_WORKERS.
        "CROSSCUT_WORKERS": "3", "CROSSCUT_FC_NODES": "1", "CROSSCUT_RUN_DIR": "/nowhere",
        "CROSSCUT_SET": "steps=2; evaluation.everySteps=100; dataset={kind: \"synthetic\"}",
      ])
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("1 server, 1 worker, 1 fc node\n"), "\(program.output)")
    #expect(program.output.contains("done: 2 of 2 steps"), "\(program.output)")
  }

  @Test(arguments: [
    ("optimizer.learningrate=0.1", "learningRate"), ("network.layers[3].window=99", "window"),
    ("globalBatch=0", "globalBatch"), ("optimizer.learningRate=NaN", "expected a finite number"),
    ("cluster.workers=0", "cluster.workers"),
    ("cluster.fcNodes=11", "11 FC nodes cannot share the"),
  ])
  func `a mistake in the configuration is one line before any process starts`(
    override: String, word: String
  ) throws {
    let scratch = try Scratch()
    let program = try Program(["train", "--set", override, "--run-dir", "\(scratch.path)/run"])
    #expect(program.finish() == 2)
    #expect(program.output.contains(word), "\(program.output)")
    #expect(program.output.split(separator: "\n").count == 1, "\(program.output)")
    #expect(!scratch.exists("run"))
  }

  @Test(arguments: ["status", "health"])
  func `no server is one line and exit code 1 within two seconds`(command: String) throws {
    let seconds = try shortest(within: 2) {
      let program = try Program([command, "--server", "tcp://127.0.0.1:1"])
      #expect(program.finish() == 1)
      #expect(
        program.output.hasPrefix("crosscut: no server answers at tcp://127.0.0.1:1"),
        "\(program.output)")
      #expect(program.output.split(separator: "\n").count == 1)
    }
    #expect(seconds < 2)
  }

  @Test(arguments: [("file/run", "cannot make "), ("file", "is a file\n")])
  func `a run directory that cannot be is one line`(path: String, why: String) throws {
    let scratch = try Scratch()
    try "x".write(toFile: "\(scratch.path)/file", atomically: true, encoding: .utf8)
    let program = try Program(["train", "--run-dir", "\(scratch.path)/\(path)"])
    #expect(program.finish() == 1)
    #expect(program.output.hasPrefix("crosscut: run directory "), "\(program.output)")
    #expect(program.output.contains(why), "\(program.output)")
    #expect(program.output.split(separator: "\n").count == 1)
  }

  @Test func `a data set that is not there is named`() throws {
    let scratch = try Scratch()
    let program = try Program([
      "train", "--set", "dataset.path=/nowhere", "--run-dir", "\(scratch.path)/run", "--listen",
      "tcp://127.0.0.1:0",
    ])
    #expect(program.finish() == 1)
    #expect(program.output.contains("/nowhere"), "\(program.output)")
  }
}
