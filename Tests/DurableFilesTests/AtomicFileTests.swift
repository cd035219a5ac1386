import DurableFiles
import Foundation
import Testing

@Suite struct AtomicFileTests {
  private static func replace(_ scratch: Scratch, _ disk: PlayedDisk) throws(FileFailure) {
    try AtomicFile.write(
      Array("new".utf8), to: scratch.path("a"), beside: scratch.path("a.new"), calls: disk.system)
  }

  @Test func `a file is on the disk before it has its name, and its name before that is said`()
    throws
  {
    let scratch = try Scratch()
    let disk = PlayedDisk()
    try Self.replace(scratch, disk)
    #expect(disk.calls == ["write", "sync file", "rename", "sync folder"])
    #expect(scratch.text("a") == "new")
    #expect(try scratch.names == ["a"])
  }

  @Test(arguments: [
    (0, FileFailure.Step.write, "a.new"), (1, .sync, "a.new"), (2, .place, "a"), (3, .sync, ""),
  ])
  func `whatever fails, a whole file has the name and none is beside`(
    failing: Int, step: FileFailure.Step, name: String
  ) throws {
    let scratch = try Scratch()
    try Data("old".utf8).write(to: URL(fileURLWithPath: scratch.path("a")))
    let disk = PlayedDisk(failing: failing)
    let path = name.isEmpty ? scratch.url.path : scratch.path(name)
    #expect(throws: FileFailure(step, path, code: EIO)) { try Self.replace(scratch, disk) }
    #expect(disk.hasFailed)
    #expect(scratch.text("a") == (failing < 3 ? "old" : "new"))
    #expect(try scratch.names == ["a"])
  }

  @Test func `where folders cannot be synced it goes without`() throws {
    let scratch = try Scratch()
    let disk = PlayedDisk(failing: 3, code: EINVAL)
    try Self.replace(scratch, disk)
    #expect(disk.hasFailed)
    #expect(disk.calls.last == "sync folder")
    #expect(scratch.text("a") == "new")
  }

  @Test func `a file that must not be there stays as it is`() throws {
    let scratch = try Scratch()
    func write(_ text: String) throws(FileFailure) {
      try AtomicFile.write(
        Array(text.utf8), to: scratch.path("key"), beside: scratch.path("key.new"), .new,
        permissions: 0o600, replacing: false)
    }
    try write("first")
    #expect(throws: FileFailure(.place, scratch.path("key"), code: EEXIST)) { try write("second") }
    #expect(scratch.text("key") == "first")
    #expect(try scratch.names == ["key"])
    var status = stat()
    #expect(stat(scratch.path("key"), &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test func `what another has made beside is neither used nor removed`() throws {
    let scratch = try Scratch()
    try Data("other".utf8).write(to: URL(fileURLWithPath: scratch.path("a.new")))
    #expect(throws: FileFailure(.create, scratch.path("a.new"), code: EEXIST)) {
      try AtomicFile.write([1], to: scratch.path("a"), beside: scratch.path("a.new"), .new)
    }
    #expect(scratch.text("a.new") == "other")
    #expect(try scratch.names == ["a.new"])
  }

  @Test func `one that nobody gives its name goes`() throws {
    let scratch = try Scratch()
    do {
      let file = try AtomicFile(scratch.path("a"), beside: scratch.path("a.new"))
      try file.append([1, 2, 3])
      #expect(try scratch.names == ["a.new"])
    }
    #expect(try scratch.names == [])
  }

  @Test(arguments: [("a/b/c", "a/b"), ("/a", "/"), ("a", "."), ("/a/b", "/a")])
  func `a name is in the folder before its last slash`(path: String, folder: String) {
    #expect(FolderNames.folder(of: path) == folder)
  }
}
