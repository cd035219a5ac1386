import Glibc
import Testing

@testable import Training

/// Checkpoints that cannot be read for a moment.
@Suite struct CheckpointWaitingTests {
  /// Reads fail so often with a number of the system's, then give 7.
  private func read(_ failures: Int, _ code: CInt) -> (Result<Int, CheckpointError>, [String], Int)
  {
    var left = failures
    var (waits, notes) = (0, [String]())
    let result = Result { () throws(CheckpointError) in
      try CheckpointStore.untilReadable(
        wait: {
          waits += 1
          return true
        }, { notes.append($0) }
      ) { note throws(CheckpointError) in
        note("an older one is damaged")
        guard left == 0 else {
          left -= 1
          throw .system("cannot be opened", "step", code)
        }
        return 7
      }
    }
    return (result, notes, waits)
  }

  @Test(arguments: [ESTALE, ETIMEDOUT, EMFILE, ENFILE, ENOMEM, ENOTCONN, EHOSTDOWN])
  func `what passes by itself is waited for, and told of once`(code: CInt) throws {
    let (result, notes, waits) = read(3, code)
    #expect(try result.get() == 7)
    #expect(waits == 3)
    #expect(notes.count == 2, "\(notes)")
    #expect(notes[1].hasSuffix("; it is tried again every second for a minute"), "\(notes)")
  }

  @Test(arguments: [EACCES, EPERM, ENOENT, EIO])
  func `rights and damage do not pass by themselves`(code: CInt) {
    let (result, notes, waits) = read(3, code)
    #expect(throws: CheckpointError.self) { try result.get() }
    #expect(waits == 0 && notes.count == 1)
  }

  @Test func `after a minute it is given up`() {
    let (result, _, waits) = read(1000, ESTALE)
    #expect(throws: CheckpointError.self) { try result.get() }
    #expect(waits == 59)
  }
}
