import Foundation
import Testing

/// What an operator does with a run on this machine, with real processes.
@Suite(.timeLimit(.minutes(30)))
struct OperatorTests {
  @Test func `a run has a page, logs, files for TensorBoard, and is stopped in order`() throws {
    let scratch = try Scratch()
    let train = try Program([
      "train", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0", "--workers",
      "1", "--fc-nodes", "1", "--set", "dataset={ kind: \"synthetic\", examples: 512 }", "--set",
      "steps=1000000", "--set", "evaluation.everySteps=1000000", "--set", "logging.everySteps=2",
      "--tensorboard",
    ])
    #expect(
      eventually { scratch.text("metrics.jsonl").contains("\n") }, "\(train.output)")
    let page = scratch.text("http.address").trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(page.hasPrefix("http://127.0.0.1:"))
    #expect(eventually { train.output.contains("page: \(page)") }, "\(train.output)")
    #expect(scratch.text("events.jsonl").contains(#""kind":"join""#))

    let nodes = try Program.run("nodes", "--server", scratch.address)
    #expect(nodes.code == 0)
    #expect(nodes.output.contains("worker 0") && nodes.output.contains("fc 0"))
    let logs = try Program.run("logs", "server", "--run-dir", scratch.path, "-n", "1")
    #expect(logs.code == 0 && logs.output.split(separator: "\n").count == 1, "\(logs.output)")
    let unknown = try Program.run("logs", "worker-7", "--run-dir", scratch.path)
    #expect(unknown.code == 1)
    #expect(unknown.output.contains("there are fc-0, server, worker-0"), "\(unknown.output)")
    let second = try Program.run("server", "lenet5", "--run-dir", scratch.path)
    #expect(second.code == 1 && second.output.contains("another run writes there"))
    for command in [["status"], ["nodes"], ["health"], ["checkpoint", "now"]] {
      let named = try Program(command + [scratch.path])
      #expect(named.finish() == 0, "\(command): \(named.output)")
    }

    let stop = try Program.run("stop", scratch.path)
    #expect(stop.code == 0, "\(stop.output)")
    #expect(stop.output.contains("finished after"))
    #expect(train.finish() == 0, "\(train.output)")
    #expect(scratch.exists("model.safetensors"))
    let again = try Program.run("stop", scratch.path)
    #expect(again.code == 1 && again.output.contains("has ended: "))
    let status = try Program.run("status", scratch.path)
    #expect(
      status.code == 1 && status.output.contains("its server does not run: finished after"),
      "\(status.output)")

    let metrics = try Program.run("metrics", scratch.path)
    #expect(metrics.code == 0 && metrics.output.hasPrefix("kind,step,"))
    let svg = "\(scratch.path)/curves.svg"
    let compare = try Program.run("compare", scratch.path, scratch.path + "/", "--svg", svg)
    #expect(compare.code == 0, "\(compare.output)")
    #expect(scratch.text("curves.svg").hasPrefix("<svg "))
    let files = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
    #expect(files.contains { $0.hasPrefix("events.out.tfevents.") })
  }

  @Test func `who wants more than to know whether a server answers waits for a busy one`() throws {
    let scratch = try Scratch()
    let server = try Program(
      ["server", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0"]
        + ["--allow-drills"])
    #expect(eventually { !scratch.address.isEmpty }, "\(server.output)")
    let commands = [
      ["nodes"], ["logs"], ["doctor"], ["trace", "--out", "\(scratch.path)/trace.json"],
      ["drill", "kill", "worker-7"],
    ]
    func ask() throws -> [String] {
      server.send(SIGSTOP)
      let programs = try commands.map { try Program($0 + ["--server", scratch.address]) }
      // Longer than `status` and `health` wait.
      poll(nil, 0, 2500)
      server.send(SIGCONT)
      return programs.map {
        $0.finish()
        return $0.output
      }
    }
    func isOverdue(_ output: String) -> Bool {
      output.contains("does not answer") || output.contains("no server answers")
    }
    var outputs = try ask()
    // It may have taken longer to start them.
    for _ in 0..<4 where outputs.contains(where: isOverdue) { outputs = try ask() }
    for (command, output) in zip(commands, outputs) {
      #expect(!isOverdue(output), "\(command): \(output)")
    }
    server.send(SIGTERM)
    server.finish()
  }

  @Test(arguments: [
    (["--http", "nonsense"], "expected [HOST:]PORT"),
    (["--http", "1", "--http-token-file", "/nowhere"], "cannot read /nowhere"),
    (["--http", "1", "--http-token-file", "/dev/null"], "cannot read /dev/null: it is no file"),
  ])
  func `a wrong page is refused before anything starts`(
    options: [String], expected: String
  ) throws {
    let program = try Program(["train", "lenet5"] + options)
    #expect(program.finish() == 2)
    #expect(program.output.contains(expected), "\(program.output)")
    #expect(program.output.split(separator: "\n").count == 1, "\(program.output)")
  }

  @Test func `a page's token that everybody may write is refused, one that all can read told of`()
    throws
  {
    let scratch = try Scratch()
    let path = "\(scratch.path)/token"
    try "0123456789abcdefghij".write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o646)
    let refused = try Program(["train", "lenet5", "--http", "0", "--http-token-file", path])
    #expect(refused.finish() == 2)
    #expect(
      refused.output.contains("\(path) can be read or written by everybody: chmod 600 \(path)"),
      "\(refused.output)")
    // As Kubernetes and Swarm mount secrets.
    chmod(path, 0o444)
    let told = try Program([
      "train", "lenet5", "--http", "0", "--http-token-file", path, "--set",
      "dataset={ kind: \"idx\", path: \"\(scratch.path)\" }",
    ])
    told.finish()
    #expect(
      told.output.contains("warning: \(path) can be read by everybody on this machine"),
      "\(told.output)")
  }
}
