import DurableFiles
import FoundationEssentials
import Glibc
import Messages

/// `rates.json` of a run directory: what operators have made of the learning rate so far.
///
/// A checkpoint has what was known when it was begun; what has been said since would be forgotten
/// with the server. Changes are bound to steps, so that those which are repeated go by the same rates
/// again.
struct RateFile {
  private let path: String

  init(in directory: RunDirectory) { path = directory.path + "/rates.json" }

  /// Writes all changes, by ascending first step.
  func write(_ changes: [RateChange]) throws(NodeError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do {
      let text = [UInt8](try encoder.encode(changes))
      // Not synced: the server's socket thread is not to wait for the disk. After a power cut the
      // checkpoint counts.
      var calls = FileCalls()
      calls.sync = { _ in 0 }
      try AtomicFile.write(
        text, to: path, beside: path + ".new", calls: calls)
    } catch let failure as FileFailure {
      throw NodeError("cannot write \(failure.path): \(failure.words)")
    } catch {
      throw NodeError("cannot write \(path): \(error)")
    }
  }

  /// The changes, or `nil` if there is no such file.
  ///
  /// - Throws: `NodeError` if it is none that `write` has written.
  func read() throws(NodeError) -> [RateChange]? {
    guard let text = try RunDirectory.contents(of: path) else { return nil }
    let changes = try? JSONDecoder().decode([RateChange].self, from: Data(text.utf8))
    guard let changes, changes.allSatisfy({ $0.factor.isFinite && $0.factor > 0 }),
      zip(changes, changes.dropFirst()).allSatisfy({ $0.firstStep < $1.firstStep })
    else { throw NodeError("\(path) is damaged: the changes of the learning rate there are lost") }
    return changes
  }

  /// Removes what an earlier run has left.
  func remove() { unlink(path) }
}
