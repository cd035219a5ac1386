import Foundation
import Observability
import Testing
import Training

/// Where a run goes on that is resumed, and what it goes on with.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct ResumeTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  /// Neither when one is due nor after an evaluation with a lower error.
  private static let rare = [
    "--set", "checkpoint.everySteps=1000000", "--set", "evaluation.everySteps=1000000",
  ]
  private static let endless = ["--set", "steps=100000"]
  private static let listen = ["--listen", "tcp://127.0.0.1:0"]

  private var log: String { cluster.text("run/server.log") }

  private var checkpoints: [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")
    return (names ?? []).sorted()
  }

  /// A run that has ended, with checkpoints after 40, 80 and 120 steps.
  private func finished(_ more: [String] = []) throws {
    let program = try cluster.train(
      ["--set", "steps=120", "--set", "checkpoint.everySteps=40", "--set", "checkpoint.keep=9"]
        + more)
    #expect(program.finish() == 0, "\(program.output)")
    // Besides those of evaluations that were better than all before.
    let made = [40, 80, 120].map { String(format: "step-%08d", $0) }
    #expect(Set(checkpoints).isSuperset(of: made), "\(checkpoints)")
  }

  private func resume(_ checkpoint: String? = nil, _ more: [String]) throws -> Program {
    let path = checkpoint.map { "\(run)/checkpoints/\($0)" } ?? run
    forgetAddress()
    return try Program(["train", "--resume", path] + Self.listen + more)
  }

  /// So that nobody takes the address of the run before for that of the next one.
  private func forgetAddress() {
    try? FileManager.default.removeItem(atPath: "\(run)/server.address")
  }

  /// Everybody dies at once, as when the power fails.
  private func killAll(_ program: Program, _ server: String) {
    for process in [program.processID] + processes(of: [run, server]) { kill(process, SIGKILL) }
    program.finish()
    cluster.expectNoOrphans(server)
    forgetAddress()
  }

  private func stop(_ program: Program) throws {
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)")
  }

  // MARK: Where

  @Test func `a run gone back to an older checkpoint never goes on from a newer one of before`()
    throws
  {
    try finished()
    let program = try resume("step-00000040", Self.endless + Self.rare)
    let server = try cluster.address()
    let before = try cluster.reach(step: 200, at: server)
    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    #expect(program.output.contains("step-00000120 is now step-00000120.aside"))
    _ = try cluster.reach(step: before.step + 50, at: server)
    try stop(program)
    #expect(log.matches(of: /goes on after 40 steps of run/).count == 2, "\(log)")
    #expect(!log.contains("goes on after 120 steps"), "\(log)")
    #expect(checkpoints.contains("step-00000080.aside"), "\(checkpoints)")

    // Whoever wants that course back has it, and then the other one is put aside.
    let last = try #require(checkpoints.last { $0.hasPrefix("step") && !$0.hasSuffix("aside") })
    let back = try resume("step-00000080.aside", Self.endless + Self.rare)
    _ = try cluster.reach(step: 100, at: try cluster.address())
    #expect(checkpoints.contains("step-00000080"), "\(checkpoints)")
    #expect(checkpoints.contains("\(last).aside"), "\(checkpoints)")
    try stop(back)
    #expect(log.contains("goes on after 80 steps"), "\(log)")
  }

  @Test func `a run that does not begin leaves all checkpoints their names`() throws {
    try finished()
    let before = checkpoints
    let path = "\(run)/checkpoints/step-00000040"
    let neighbour = try TinyCluster()
    let server = try Program(
      ["server", "lenet5", "--run-dir", neighbour.run] + Self.listen)
    let noPort = try Program([
      "train", "--resume", path, "--listen", try neighbour.address(), "--set", "steps=130",
    ])
    #expect(noPort.finish() == 1, "\(noPort.output)")
    #expect(noPort.output.contains("in use"), "\(noPort.output)")
    #expect(checkpoints == before)
    server.send(SIGTERM)
    server.finish()
    let other = try Program(
      [
        "train", "lenet5", "--resume", path, "--set", "steps=130", "--set",
        "dataset.kind=synthetic",
      ]
        + Self.listen)
    #expect(other.finish() != 0, "\(other.output)")
    #expect(checkpoints == before, "\(other.output)")
  }

  @Test func `another run's checkpoint is not gone on with beside one's own`() throws {
    try finished()
    let other = "\(cluster.scratch.path)/other"
    let program = try cluster.train(["--resume", run, "--set", "steps=160"], runDirectory: other)
    #expect(program.finish() == 0, "\(program.output)")
    let again = try cluster.train(["--resume", run, "--set", "steps=160"], runDirectory: other)
    #expect(again.finish() == 2, "\(again.output)")
    #expect(again.output.contains("holds checkpoints of an earlier run"), "\(again.output)")
  }

  private static let tooFew = "the checkpoint has 120 steps, and the run is to have only 50"

  @Test func `a run with fewer steps than its checkpoint has is refused in one line`() throws {
    try finished()
    let model = try Data(contentsOf: URL(fileURLWithPath: "\(run)/model.safetensors"))
    let fewer = try resume(nil, ["--set", "steps=50"])
    #expect(fewer.finish() == 2, "\(fewer.output)")
    #expect(fewer.output.contains("steps: \(Self.tooFew)"), "\(fewer.output)")

    // How many steps an epoch has is known with the data.
    let text = try String(contentsOfFile: cluster.configuration, encoding: .utf8)
    try text.replacing("steps: 60", with: "epochs: 2").write(
      toFile: cluster.configuration, atomically: true, encoding: .utf8)
    let shorter = try cluster.train(["--continue"])
    #expect(shorter.finish() == 1, "\(shorter.output)")
    #expect(shorter.output.contains("the run failed: \(Self.tooFew)"), "\(shorter.output)")
    #expect(!shorter.output.contains("started again"), "\(shorter.output)")
    #expect(!shorter.output.contains("done:"), "\(shorter.output)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: "\(run)/model.safetensors")) == model)
    cluster.expectNoOrphans(run)
  }

  @Test(arguments: [[], ["step-00000040.new"]])
  func `--continue begins where no checkpoint is good yet`(left: [String]) throws {
    for name in [""] + left {
      try FileManager.default.createDirectory(
        atPath: "\(run)/checkpoints/\(name)", withIntermediateDirectories: true)
    }
    let program = try cluster.train(["--continue"])
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("done: 60 of 60 steps"), "\(program.output)")
  }

  // MARK: With what

  enum GoingOn: CaseIterable { case again, newest, oneProcess, named }

  /// The rate counts where the run goes on, and not where somebody goes back on purpose.
  @Test(arguments: GoingOn.allCases)
  func `a learning rate that was set outlives all processes`(how: GoingOn) throws {
    let options = Self.endless + Self.rare
    let first = try cluster.train(options)
    let server = try cluster.address()
    let before = try cluster.reach(step: 5, at: server)
    #expect(try Program.run("checkpoint", "now", "--server", server).code == 0)
    #expect(eventually { cluster.text("run/events.jsonl").contains("checkpoint after") })
    let set = try Program.run("set", "lr=0.0005", "--server", server)
    let step = try #require(
      (set.output.firstMatch(of: /from step (\d+) on/)?.1).flatMap { UInt64($0) }, "\(set.output)")
    killAll(first, server)
    let lives = log.matches(of: /listens at/).count
    let named = try #require(checkpoints.first { $0.hasPrefix("step-") })
    let second =
      switch how {
      case .again: try cluster.train(options + ["--continue"])
      case .newest: try resume(nil, [])
      case .oneProcess: try cluster.train(options + ["--continue", "--in-process"])
      case .named: try resume(named, [])
      }
    #expect(eventually { log.matches(of: /listens at/).count > lives }, "\(second.output)")
    let address = try #require(log.matches(of: /listens at (tcp:\S+)/).last?.1)
    let after = try cluster.reach(step: step + 20, at: String(address))
    let rate = try #require(after.learningRate)
    if how == .named {
      #expect(abs(rate - (before.learningRate ?? 0)) < 1e-6, "\(rate)")
    } else {
      #expect(abs(rate - 0.0005) < 1e-6, "\(rate)")
    }
    try stop(second)
  }

  @Test func `a run without a checkpoint goes on with its own configuration`() throws {
    let first = try cluster.train(Self.endless + Self.rare)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    killAll(first, server)
    #expect(checkpoints == [])
    let second = try Program(
      ["train", "--continue", "--run-dir", run, "--set", "steps=50"] + Self.listen)
    #expect(second.finish() == 0, "\(second.output)")
    #expect(second.output.contains("\ntiny on "), "\(second.output)")
    #expect(second.output.contains("done: 50 of 50 steps"), "\(second.output)")
  }

  @Test func `a learning rate that cannot be kept does not take the one before along`() throws {
    let program = try cluster.train(Self.endless + Self.rare)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    let first = try Program.run("set", "lr=0.0005", "--server", server)
    #expect(first.output.contains("learning rate 0.0005 from step"), "\(first.output)")
    // What no permission stops root from.
    try FileManager.default.createDirectory(
      atPath: "\(run)/rates.json.new", withIntermediateDirectories: true)
    let second = try Program.run("set", "lr=0.0001", "--server", server)
    let step = try #require(
      (second.output.firstMatch(of: /from step (\d+) on/)?.1).flatMap { UInt64($0) })
    #expect(second.output.contains("before the next checkpoint forgets it"), "\(second.output)")
    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    let after = try cluster.reach(step: step + 20, at: server)
    #expect(abs((after.learningRate ?? 0) - 0.0005) < 1e-6, "\(after)")
    try stop(program)
  }

  @Test func `other batches than the checkpoint's are said once, and are no fault of the ledger`()
    throws
  {
    try finished()
    let program = try resume(nil, ["--set", "steps=160", "--set", "globalBatch=20"])
    #expect(program.finish() == 0, "\(program.output)")
    let line = "the checkpoint's steps are of 16 examples: training goes on with steps of 20"
    #expect(program.output.split(separator: "\n").count { $0 == line } == 1, "\(program.output)")
    #expect(!program.output.contains("another data set"), "\(program.output)")
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)")
    #expect(audit.output.contains("160 steps of 16 and 20 examples"), "\(audit.output)")
  }

  @Test func `another seed or data set than the checkpoint's is said, and the audit names it`()
    throws
  {
    try finished()
    let program = try resume(
      nil, ["--set", "steps=160", "--set", "dataset.examples=500", "--seed", "7"])
    #expect(program.finish() == 0, "\(program.output)")
    let line = "the checkpoint is of seed 1: training goes on with seed 7"
    #expect(program.output.split(separator: "\n").count { $0 == line } == 1, "\(program.output)")
    #expect(
      program.output.contains(
        /the checkpoint is of another data set, 400 training and 64 evaluation .* with 500 and 64,/),
      "\(program.output)")
    let audit = try Program.run("audit", run)
    #expect(audit.code == 1, "\(audit.output)")
    #expect(audit.output.contains(/data set \w+, before it was \w+/), "\(audit.output)")
  }

  @Test func `a damaged newest checkpoint is passed over by name, and put aside`() throws {
    try finished()
    let file = "step-00000120/optimizer.safetensors"
    let newest = URL(fileURLWithPath: "\(run)/checkpoints/\(file)")
    let before = try #require(checkpoints.last { $0.hasPrefix("step") && $0 < "step-00000120" })
    let steps = try #require(Int(before.dropFirst("step-".count)))
    var bytes = try Data(contentsOf: newest)
    bytes[bytes.count / 2] ^= 0x10
    try bytes.write(to: newest)

    let program = try resume(nil, ["--set", "steps=160"])
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("\(file): "), "\(program.output)")
    #expect(program.output.contains("step-00000120 is now step-00000120.aside"))
    #expect(log.contains("goes on after \(steps) steps"), "\(log)")
    #expect(try cluster.scratch.summary(of: "run").step == 160)
    #expect(checkpoints.contains("step-00000120.aside"), "\(checkpoints)")
    // The course is the one of a run that nothing has damaged.
    let whole = "\(cluster.scratch.path)/whole"
    let calm = try cluster.train(["--set", "steps=160"], runDirectory: whole)
    #expect(calm.finish() == 0, "\(calm.output)")
    let found = try SafeTensorsReader(path: "\(run)/model.safetensors")
    let expected = try SafeTensorsReader(path: "\(whole)/model.safetensors")
    #expect(found.names == expected.names)
    for name in expected.names {
      #expect(try found.tensor(named: name).values == expected.tensor(named: name).values)
    }
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)")
  }

  @Test func `a checkpoint that cannot be read now is not passed over`() throws {
    try finished()
    let before = checkpoints
    // The second file of the newest one has no descriptor to be read by.
    let program = try Program(["train", "--resume", run] + Self.listen, shell: "ulimit -n 4")
    #expect(program.finish() == 1)
    #expect(program.output.contains("optimizer.safetensors: open: Too many"), "\(program.output)")
    #expect(program.output.contains("it may be good: make it readable"), "\(program.output)")
    #expect(checkpoints == before)
  }

  @Test func `where there is nothing to resume is said`() throws {
    let program = try Program.run("train", "--resume", cluster.scratch.path + "/rnu")
    #expect(program.code == 1)
    #expect(program.output.contains("rnu: there is no such directory"), "\(program.output)")
  }

  @Test func `a resumed run that ends before anybody has come is where its checkpoint was`() throws
  {
    let first = try cluster.train(["--set", "steps=30", "--set", "checkpoint.everySteps=10"])
    #expect(first.finish() == 0, "\(first.output)")
    let plan = try Program.run("train", "--resume", cluster.run, "--dry-run")
    #expect(
      plan.output.hasSuffix(
        "resumed\n  after 30 steps: \(cluster.run)/checkpoints/step-00000030\n"), "\(plan.output)")
    try FileManager.default.removeItem(atPath: cluster.run + "/server.address")
    let server = try Program([
      "server", "--resume", cluster.run, "--set", "steps=90", "--listen", "tcp://127.0.0.1:0",
    ])
    let address = try cluster.address()
    let status = try Program.run("status", "--server", address)
    #expect(status.output.contains("step 30/90"), "\(status.output)")
    let stop = try Program.run("stop", cluster.run)
    #expect(stop.output.contains("finished after 30 of 90 steps"), "\(stop.output)")
    #expect(server.finish() == 0, "\(server.output)")
    let audit = try Program.run("audit", cluster.run)
    #expect(audit.code == 0, "\(audit.output)")
  }
}
