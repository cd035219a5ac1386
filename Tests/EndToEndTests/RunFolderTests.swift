import Foundation
import Observability
import Testing

/// Run folders as their users find, name and share them.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct RunFolderTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  @Test func `a checkpoint is resumed in its run, by whatever path it is named`() throws {
    let first = try cluster.train(["--set", "checkpoint.everySteps=30"])
    #expect(first.finish() == 0, "\(first.output)")
    let name = "step-00000030"
    func plan(_ resume: String, in directory: String, _ more: String...) throws -> Program {
      let program = try Program(
        ["train"] + more + ["--resume", resume, "--dry-run"], directory: directory)
      program.finish()
      return program
    }
    let checkpoints = "\(run)/checkpoints"
    for (resume, directory, expected) in [
      (checkpoints, "/", run), ("\(checkpoints)/\(name)", "/", run),
      ("run/checkpoints/\(name)/", cluster.scratch.path, "run"),
      ("checkpoints/\(name)", run, "."), (name, checkpoints, run), ("./\(name)", checkpoints, run),
      ("../\(name)", "\(checkpoints)/\(name)", run),
    ] {
      let program = try plan(resume, in: directory)
      #expect(
        program.output.contains("run directory: \(expected)\n"), "\(resume): \(program.output)")
    }
  }

  @Test func `a copy of a checkpoint is resumed in a directory of its own`() throws {
    let first = try cluster.train(["--set", "checkpoint.everySteps=30"])
    #expect(first.finish() == 0, "\(first.output)")
    let backup = "\(cluster.scratch.path)/backup"
    let copy = "\(backup)/checkpoints/step-00000030"
    try FileManager.default.createDirectory(
      atPath: "\(backup)/checkpoints", withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: "\(run)/checkpoints/step-00000030", toPath: copy)
    let without = try Program.run("train", "--resume", copy)
    #expect(without.code == 2)
    #expect(
      without.output.contains("\(copy) lies in no run's directory")
        && !without.output.contains("/config.json"),
      "\(without.output)")
    let second = try Program(
      ["train", cluster.configuration, "--resume", copy, "--listen", "tcp://127.0.0.1:0"],
      directory: cluster.scratch.path)
    #expect(second.finish() == 0, "\(second.output)")
    let runs = try FileManager.default.contentsOfDirectory(atPath: cluster.scratch.path + "/runs")
    #expect(runs.count == 1 && runs.first?.hasSuffix("-tiny") == true, "\(runs)")
    #expect(cluster.text("runs/\(runs.first ?? "")/server.log").contains("goes on after 30 steps"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: backup) == ["checkpoints"])
  }

  @Test func `of all runs stop ends the newest that goes on`() throws {
    let runs = "\(cluster.scratch.path)/runs"
    let going = try cluster.train(
      ["--set", "steps=100000000"], runDirectory: "\(runs)/20261129-120000-tiny")
    let hasBegun = eventually { cluster.scratch.exists("runs/20261129-120000-tiny/server.address") }
    #expect(hasBegun, "\(going.output)")
    let other = try cluster.train(["--set", "steps=2"], runDirectory: "\(runs)/mine")
    #expect(other.finish() == 0, "\(other.output)")
    let stop = try Program(["stop"], directory: cluster.scratch.path)
    #expect(stop.finish() == 0, "\(stop.output)")
    #expect(stop.output.contains("runs/20261129-120000-tiny: finished after "), "\(stop.output)")
    #expect(going.finish() == 0, "\(going.output)")
    let logs = try Program(["logs"], directory: cluster.scratch.path)
    logs.finish()
    #expect(logs.output.contains("all steps done"), "\(logs.output)")
  }

  @Test func `a start that failed leaves no run behind, and compare leaves out what has none`()
    throws
  {
    let going = try cluster.train(["--set", "steps=100000000"])
    let address = try cluster.address()
    let failed = try Program(
      ["train", cluster.configuration, "--listen", address], directory: cluster.scratch.path)
    #expect(failed.finish() == 1)
    #expect(failed.output.contains("did not start: ") && !failed.output.contains("server.log"))
    let runs = try? FileManager.default.contentsOfDirectory(atPath: cluster.scratch.path + "/runs")
    #expect(runs == [], "\(runs ?? [])")
    _ = try cluster.reach(step: 20, at: address)
    going.send(SIGINT)
    #expect(going.finish() == 0, "\(going.output)")
    let empty = "\(cluster.scratch.path)/empty"
    try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
    let compare = try Program.run("compare", empty, run)
    #expect(compare.code == 0, "\(compare.output)")
    #expect(compare.output.contains("\(empty): left out, it has no metrics"), "\(compare.output)")
    #expect(try Program.run("compare", empty).code == 1)
    let stopped = try Program.run("stop", run)
    #expect(stopped.code == 1 && stopped.output.contains("has ended: finished after"))
  }

  /// As of another user: root is stopped by no permission, but by a disk that is mounted so.
  @Test(.enabled(if: SmallDisk.isPossible))
  func `a run that must not be written to is replayed, resumed elsewhere, and asked to end`() throws
  {
    let disk = try SmallDisk(at: run, kibibytes: 262_144)
    defer { withExtendedLifetime(disk) {} }
    let first = try cluster.train(["--set", "checkpoint.everySteps=30"])
    #expect(first.finish() == 0, "\(first.output)")
    #expect(mount(nil, run, nil, UInt(MS_REMOUNT | MS_RDONLY), nil) == 0)
    #expect(!FileManager.default.createFile(atPath: "\(run)/x", contents: nil))
    let replay = try Program.run("replay", run)
    #expect(replay.code == 0 && replay.output.contains("all as they were"), "\(replay.output)")
    let stop = try Program.run("stop", run)
    #expect(stop.output.contains("has ended: finished after"), "\(stop.output)")
    let mine = "\(cluster.scratch.path)/mine"
    let second = try Program(
      [
        "train", "--resume", run, "--run-dir", mine, "--listen", "tcp://127.0.0.1:0", "--set",
        "steps=80",
      ])
    #expect(second.finish() == 0, "\(second.output)")
    #expect(cluster.text("mine/server.log").contains("goes on after 60 steps"))
    let again = try Program.run("train", "--resume", run, "--set", "steps=80")
    #expect(again.code == 1)
    #expect(again.output.contains("cannot write there"), "\(again.output)")
  }

  @Test func `a group's files are the group's by its umask`() throws {
    let program = try cluster.train(["--set", "checkpoint.everySteps=30"], shell: "umask 002")
    #expect(program.finish() == 0, "\(program.output)")
    let names = try FileManager.default.subpathsOfDirectory(atPath: run)
    #expect(names.contains("checkpoints/step-00000030/manifest.json"), "\(names)")
    for name in names {
      var status = stat()
      #expect(stat("\(run)/\(name)", &status) == 0)
      #expect(
        status.st_mode & S_IWGRP != 0 && status.st_mode & S_IWOTH == 0,
        "\(name): \(String(status.st_mode & 0o777, radix: 8))")
    }
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func `a server that reads a large checkpoint hears a signal`(signal: Int32) throws {
    // A pipe that nobody writes to: a read that takes as long as one likes.
    let checkpoint = "\(run)/checkpoints/step-00000030"
    try FileManager.default.createDirectory(
      atPath: checkpoint, withIntermediateDirectories: true)
    #expect(mkfifo("\(checkpoint)/manifest.json", 0o600) == 0)
    let server = try Program(
      ["server", cluster.configuration, "--resume", checkpoint, "--listen", "tcp://127.0.0.1:0"])
    var writer: Int32 = -1
    let isReading = eventually {
      writer = open("\(checkpoint)/manifest.json", O_WRONLY | O_NONBLOCK)
      return writer >= 0
    }
    defer { close(writer) }
    #expect(isReading, "\(server.output)")
    server.send(signal)
    #expect(server.finish() == signal, "\(server.output)")
  }

  @Test func `a run in one process says where it listens`() throws {
    let program = try cluster.train(
      ["--in-process", "--http", "0", "--set", "steps=100000000"])
    _ = try cluster.reach(step: 5, at: try cluster.address())
    #expect(cluster.text("run/http.address").hasPrefix("http://127.0.0.1:"), "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `what an earlier life has said is no reason of this one`() throws {
    let first = try cluster.train()
    #expect(first.finish() == 0, "\(first.output)")
    let said = cluster.text("run/server.log")
    #expect(said.contains("all steps done"), "\(said)")
    // A key that takes as long to read as one likes, before the server has anything to say.
    try FileManager.default.createDirectory(
      atPath: "\(run)/keys", withIntermediateDirectories: true)
    #expect(mkfifo("\(run)/keys/server.key", 0o600) == 0)
    let second = try cluster.train(["--secure", "--continue", "--set", "steps=80"])
    var server: Int32?
    #expect(
      eventually {
        server = cluster.serverProcess()
        return server != nil
      }, "\(second.output)")
    kill(try #require(server), SIGKILL)
    #expect(second.finish() == 1, "\(second.output)")
    #expect(
      second.output.contains("the server did not start: see its log (\(run)/server.log)"),
      "\(second.output)")
    #expect(cluster.text("run/server.log") == said)
  }
}
