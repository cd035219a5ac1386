import Glibc

/// A call of the system that has failed on the way of a file to the disk: which, on what, and why.
///
/// Each module tells it in the words of its own error type.
package struct FileFailure: Error, Hashable, Sendable {
  /// What was tried.
  package enum Step: Hashable, Sendable {
    /// To make a file, or to open it to be written to.
    case create
    /// To take room for its bytes, or to write them.
    case write
    /// To wait until the disk has a file, or the names in a folder.
    case sync
    /// To close a file, at which some file systems tell of a write that failed.
    case close
    /// To give a file its name.
    case place
    /// To open the folder of its name, which is to be synced.
    case openFolder
  }

  package let step: Step
  /// The file or folder; of a file that was to get a name, that name.
  package let path: String
  /// The system's number of the reason.
  package let code: CInt

  /// The failure of a call.
  ///
  /// - Parameter code: of the call that has just failed, unless another is given.
  package init(_ step: Step, _ path: String, code: CInt = errno) {
    self.step = step
    self.path = path
    self.code = code
  }

  /// The system's words for the reason: "No space left on device".
  package var words: String { String(cString: strerror(code)) }

  /// Whether there would be no failure if somebody freed space.
  package var isForLackOfSpace: Bool { Self.isLackOfSpace(code) }

  /// Whether a reason goes away when somebody frees space.
  package static func isLackOfSpace(_ code: CInt) -> Bool { code == ENOSPC || code == EDQUOT }

  /// Whether a reason says nothing of the file itself: rights, limits of the process, or a file server
  /// that does not answer. A disk that cannot read a block (EIO) has lost it.
  package static func passes(_ code: CInt) -> Bool {
    [EACCES, EPERM, EMFILE, ENFILE, ENOMEM, ESTALE, ETIMEDOUT, ENOTCONN, EHOSTDOWN].contains(code)
  }

  /// Whether such a reason goes without anybody's doing, as rights do not.
  package static func passesByItself(_ code: CInt) -> Bool {
    passes(code) && code != EACCES && code != EPERM
  }

  /// Runs a body and throws its failure as the caller's error.
  package static func told<Result, Failure: Error>(
    as words: (FileFailure) -> Failure, _ body: () throws(FileFailure) -> Result
  ) throws(Failure) -> Result {
    do throws(FileFailure) {
      return try body()
    } catch {
      throw words(error)
    }
  }
}
