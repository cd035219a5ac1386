import Foundation
import Synchronization
import Testing

@testable import crosscut

/// Writing for a reader who may take nothing.
@Suite struct OutputThreadTests {
  /// A reader of a script: what each call answers, then all is taken.
  private final class Reader: Sendable {
    let taken = Mutex("")
    private let answers: Mutex<[Int32]>

    init(_ answers: [Int32] = []) { self.answers = Mutex(answers) }

    /// - Returns: at most five bytes at once.
    func write(_ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
      let failure = answers.withLock { $0.isEmpty ? 0 : $0.removeFirst() }
      guard failure == 0, let bytes else {
        errno = failure
        return -1
      }
      let some = UnsafeRawBufferPointer(start: bytes, count: min(count, 5))
      taken.withLock { $0 += String(decoding: some, as: UTF8.self) }
      return some.count
    }
  }

  private func output(_ reader: Reader) throws -> OutputThread {
    try OutputThread(1, pause: 1) { reader.write($1, $2) }
  }

  @Test(arguments: [ENOSPC, EIO, EINTR, EDQUOT])
  func `a full disk silences nothing for good`(code: Int32) throws {
    let reader = Reader([0, code, code])
    let output = try output(reader)
    for text in ["training\n", "goes\n", "on\n"] { output.write(text) }
    output.finish()
    #expect(reader.taken.withLock { $0 } == "training\ngoes\non\n")
  }

  @Test func `a reader who has gone is not written to again`() throws {
    let reader = Reader([0, EPIPE])
    let output = try output(reader)
    for text in ["training\n", "goes\n", "on\n"] { output.write(text) }
    output.finish()
    #expect(reader.taken.withLock { $0 } == "train")
  }

  @Test func `who takes nothing keeps nobody waiting`() throws {
    let pipe = Pipe()
    let output = try OutputThread(1) { _, _, _ in
      var byte: UInt8 = 0
      // Until the other end is closed.
      return read(pipe.fileHandleForReading.fileDescriptor, &byte, 1)
    }
    output.write("one")
    output.write("two")
    // Of what passes nothing waits, and of the rest no more than there is room for.
    #expect(!output.write("passing", isPassing: true))
    #expect((0..<2000).contains { _ in !output.write("more") })
    output.finish(patience: 100)
  }
}
