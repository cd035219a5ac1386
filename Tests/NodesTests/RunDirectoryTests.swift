import DurableFiles
import Foundation
import Synchronization
import Testing

@testable import Nodes

/// Who may write into a run directory, and whose process its server is.
@Suite final class RunDirectoryTests {
  private let folder = NSTemporaryDirectory() + "crosscut-directory-\(UUID().uuidString)"

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
  }

  @Test func `runs that begin in the same second have folders of their own`() throws {
    let configuration = try TinyRun.configuration(["network.name=\"tiny\""])
    let paths = try (0..<3).map { _ in
      try RunDirectory.fresh(configuration, in: folder, at: 1_800_000_000).path
    }
    #expect(Set(paths).count == 3)
    #expect(paths[0].hasPrefix(folder) && paths[0].hasSuffix("-tiny"))
    #expect(paths[1] == paths[0] + "-2" && paths[2] == paths[0] + "-3")
    // By their names, the newest is the last.
    #expect(paths == paths.sorted())
  }

  @Test func `a server that begins forgets how an earlier one ended`() throws {
    let directory = try RunDirectory(folder)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.summary))
    try directory.claim()
    // It may be refused yet.
    #expect(RunDirectory.exists(directory.summary))
    try directory.begin(TinyRun.configuration([]), from: nil, goesOn: false) {}
    #expect(!RunDirectory.exists(directory.summary))
  }

  @Test func `a server that has begun and not said how it ended has died`() throws {
    let directory = try RunDirectory(folder)
    #expect(!directory.lastServerDied)
    // What a start that was refused may leave.
    try Data().write(to: URL(fileURLWithPath: directory.ledger))
    #expect(!directory.lastServerDied)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.ledger))
    #expect(directory.lastServerDied)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.summary))
    #expect(!directory.lastServerDied)
  }

  @Test func `a server's process is known by its number where that means something`() throws {
    let directory = try RunDirectory(folder)
    #expect(directory.server == nil)
    try directory.claim()
    #expect(directory.server == .here(getpid()))
    let lines = try text("server.pid").split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines[0] == "\(getpid())" && lines[1] == Host.name)
    #expect(lines[2].contains("pid:["))
  }

  /// On a full disk there is room for what is there and for nothing else.
  @Test func `an address is taken back and given again in its own file`() throws {
    let directory = try RunDirectory(folder)
    try directory.write(address: "tcp://127.0.0.1:5555")
    // As a full disk does: no file can be made beside.
    try FileManager.default.createDirectory(
      atPath: directory.address + ".new", withIntermediateDirectories: false)
    directory.takeBackAddress()
    #expect(try text("server.address") == "tcp://127.0.0.1:5555 ")
    try directory.write(address: "tcp://127.0.0.1:5555")
    #expect(try text("server.address") == "tcp://127.0.0.1:5555\n")
    // Twice, where one that was to take its place dies before it has one.
    for _ in 0..<2 { directory.takeBackAddress() }
    try directory.write(address: "tcp://127.0.0.1:9")
    #expect(try text("server.address") == "tcp://127.0.0.1:9\n")
    // A longer one takes more than is there.
    #expect(throws: NodeError.self) { try directory.write(address: "tcp://127.0.0.1:5555") }
    #expect(try text("server.address") == "tcp://127.0.0.1:9\n")
  }

  @Test func `what a server before has left behind its number is cut off`() throws {
    let directory = try RunDirectory(folder)
    try String(repeating: "9\n", count: 500).write(
      toFile: "\(folder)/server.pid", atomically: false, encoding: .utf8)
    try directory.claim()
    #expect(try text("server.pid").split(separator: "\n").count == 3)
    #expect(directory.server == .here(getpid()))
  }

  @Test func `a server of another host or container is no process of this one`() throws {
    let directory = try RunDirectory(folder)
    try directory.claim()
    // The same number, another place; the lock is held as it would be from there.
    let own = try text("server.pid")
    let other = own.replacing(Host.name, with: "node17").replacing("pid:[", with: "pid:[7")
    #expect(other != own)
    let descriptor = open("\(folder)/server.pid", O_WRONLY | O_TRUNC)
    #expect(write(descriptor, other, other.utf8.count) == other.utf8.count)
    close(descriptor)
    #expect(directory.server == .elsewhere(host: "node17"))
  }

  @Test(arguments: ["", "4711", "x\n", "0\n", "1\n", "-5\nhost\nhere\n"])
  func `what is no process's number is none`(text: String) {
    #expect(RunDirectory.home(text, here: "here") == nil)
  }

  @Test func `a number alone is one of here`() {
    #expect(RunDirectory.home("4711\n", here: "here") == .here(4711))
    #expect(RunDirectory.home("4711\na\nhere\n", here: "here") == .here(4711))
    #expect(RunDirectory.home("4711\na\nthere\n", here: "here") == .elsewhere(host: "a"))
  }

  @Test func `a second launcher is refused, and one beside a server`() throws {
    let directory = try RunDirectory(folder)
    try directory.claimAsLauncher()
    let second = #expect(throws: NodeError.self) { try directory.claimAsLauncher() }
    #expect("\(try #require(second))".contains("another crosscut train runs there"))

    let other = try RunDirectory(folder + "/by-hand")
    try other.claim()
    let beside = #expect(throws: NodeError.self) { try other.claimAsLauncher() }
    #expect("\(try #require(beside))".contains("the server of another run writes there"))
  }

  /// As flock(2) answers on a Lustre without -o flock, and on an NFS without a lock daemon.
  @Test(arguments: [ENOSYS, ENOLCK])
  func `where the file system has no locks, a run goes without`(code: CInt) throws {
    let asked = Mutex(0)
    var calls = FileCalls()
    calls.lock = { _ in
      asked.withLock { $0 += 1 }
      errno = code
      return -1
    }
    calls.share = calls.lock
    let directory = try RunDirectory(folder)
    try directory.claim(calls)
    try directory.claimAsLauncher(calls)
    #expect(asked.withLock { $0 } == 3)
    #expect(try text("server.pid").hasPrefix("\(getpid())\n"))
    #expect(try text("train.pid").hasPrefix("\(getpid())\n"))
  }

  @Test func `the directory of a run that never began goes, any other stays`() throws {
    let path = NSTemporaryDirectory() + "crosscut-unbegun-\(UUID().uuidString)"
    func files(_ names: [String]) throws -> RunDirectory {
      let directory = try RunDirectory(path)
      for name in names { try Data().write(to: URL(fileURLWithPath: "\(path)/\(name)")) }
      return directory
    }
    let start = ["config.json", "train.pid", "server.pid", "server.log"]
    let directory = try files(start)
    mkdir(directory.flight, 0o777)
    try Data().write(to: URL(fileURLWithPath: directory.flight + "/server-7.flight"))
    #expect(directory.removeUnlessBegun())
    #expect(!RunDirectory.exists(path))
    for more in ["ledger.jsonl", "metrics.jsonl", "notes.txt", "model.safetensors"] {
      #expect(try !files(start + [more]).removeUnlessBegun())
      #expect(RunDirectory.exists("\(path)/config.json"), "\(more)")
      try FileManager.default.removeItem(atPath: path)
    }
  }
}
