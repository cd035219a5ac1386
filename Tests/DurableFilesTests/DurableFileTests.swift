import DurableFiles
import Foundation
import Synchronization
import Testing

@Suite struct DurableFileTests {
  @Test func `bytes come to their places, whatever the order`() throws {
    let scratch = try Scratch()
    let file = try DurableFile(scratch.path("a"), .new, reserving: 6)
    try file.write(Array("ef".utf8), at: 4)
    try file.append(Array("ab".utf8))
    try file.append(Array("cd".utf8))
    try file.append([])
    try file.finish()
    #expect(scratch.text("a") == "abcdef")
  }

  @Test func `a disk that takes a byte at a time, or is interrupted, gets all of them`() throws {
    let scratch = try Scratch()
    let count = Mutex(0)
    let system = FileCalls()
    var calls = system
    calls.write = { file, start, _, offset in
      let number = count.withLock {
        $0 += 1
        return $0
      }
      guard number % 2 == 0 else {
        errno = EINTR
        return -1
      }
      return system.write(file, start, 1, offset)
    }
    try DurableFile.write(Array("abc".utf8), to: scratch.path("a"), .new, calls: calls)
    #expect(count.withLock { $0 } == 6)
    #expect(scratch.text("a") == "abc")
  }

  @Test func `a disk that takes nothing is taken for full`() throws {
    let scratch = try Scratch()
    var calls = FileCalls()
    calls.write = { _, _, _, _ in 0 }
    #expect(throws: FileFailure(.write, scratch.path("a"), code: ENOSPC)) {
      try DurableFile.write([1], to: scratch.path("a"), .emptied, calls: calls)
    }
  }

  @Test func `a full disk is known before there is anything to write`() throws {
    let scratch = try Scratch()
    let isFull = Mutex(true)
    let calls = FileCalls.full { isFull.withLock { $0 } }
    let error = #expect(throws: FileFailure.self) {
      try DurableFile(scratch.path("a"), .new, reserving: 10, calls: calls)
    }
    #expect(error == FileFailure(.write, scratch.path("a"), code: ENOSPC))
    #expect(error?.isForLackOfSpace == true)
    #expect(error?.words == "No space left on device")
    let file = try DurableFile(scratch.path("b"), .new, calls: calls)
    #expect(throws: FileFailure(.write, scratch.path("b"), code: ENOSPC)) { try file.append([1]) }
    isFull.withLock { $0 = false }
    try file.append(Array("b".utf8))
    try file.finish()
    #expect(scratch.text("b") == "b")
  }

  @Test func `a file is made, emptied or extended as its opening says`() throws {
    let scratch = try Scratch()
    let path = scratch.path("a")
    #expect(throws: FileFailure(.create, path, code: ENOENT)) {
      try DurableFile.write([], to: path, .extended)
    }
    try DurableFile.write(Array("one".utf8), to: path, .new)
    #expect(throws: FileFailure(.create, path, code: EEXIST)) {
      try DurableFile.write(Array("two".utf8), to: path, .new)
    }
    try DurableFile.write(Array(", two".utf8), to: path, .extended)
    #expect(scratch.text("a") == "one, two")
    try DurableFile.write(Array("3".utf8), to: path, .emptied)
    #expect(scratch.text("a") == "3")
  }

  @Test func `a sync that fails is not tried again`() throws {
    let scratch = try Scratch()
    let disk = PlayedDisk(failing: 1)
    #expect(throws: FileFailure(.sync, scratch.path("a"), code: EIO)) {
      try DurableFile.write([1], to: scratch.path("a"), .emptied, calls: disk.system)
    }
    #expect(disk.calls == ["write", "sync file"])
  }
}
