import DurableFiles
import Glibc

/// A checkpoint that could not be written, or that must not be believed: which file and why.
package struct CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file or directory.
  package let path: String
  /// What is wrong with it, or what failed and why.
  package let reason: String
  /// Whether nobody knows what the file is, because this process may not or cannot read it now: it
  /// may be as good as ever.
  var isUnreadable: Bool { obstacle != nil }
  /// Whether it may be readable in a moment, without anybody's doing.
  var passesByItself: Bool { obstacle.map(FileFailure.passesByItself) ?? false }
  /// The system's number of why it cannot be read now.
  let obstacle: CInt?

  /// An error about one file or directory.
  package init(path: String, reason: String) {
    self.init(path: path, reason: reason, obstacle: nil)
  }

  /// An error that says nothing of the file itself, if it has an obstacle.
  init(path: String, reason: String, obstacle: CInt?) {
    self.path = path
    self.reason = reason
    self.obstacle = obstacle
  }

  /// An error about a tensor file, as one about the checkpoint that it belongs to.
  init(_ error: SafeTensorsError) {
    self.init(path: error.path, reason: error.reason, obstacle: error.obstacle)
  }

  /// The error of a file or directory that did not reach the disk.
  init(_ failure: FileFailure) {
    let words =
      switch failure.step {
      case .create: "cannot be made"
      case .write: "cannot be written"
      case .sync: "cannot be synced to the disk"
      case .close: "cannot be closed"
      case .place: "cannot be renamed"
      case .openFolder: "cannot be opened"
      }
    self = .system(words, failure.path, failure.code)
  }

  /// The error of a C call that has just failed: "cannot write: no space left on device".
  static func system(
    _ failure: String, _ path: String, _ code: CInt = errno
  ) -> CheckpointError {
    // Training goes on without a checkpoint, so there is time to do something about it.
    let advice =
      FileFailure.isLackOfSpace(code) ? ": free some there before the next is due" : ""
    return CheckpointError(
      path: path, reason: "\(failure): \(String(cString: strerror(code)).lowercased())\(advice)",
      obstacle: FileFailure.passes(code) ? code : nil)
  }

  /// "path: reason" on one line, whatever a damaged file has put into it.
  package var description: String {
    let text = "\(path): \(reason)"
    let isPlain = text.unicodeScalars.allSatisfy { !Self.isControl($0) }
    guard !isPlain else { return text }
    return String(
      String.UnicodeScalarView(text.unicodeScalars.map { Self.isControl($0) ? "?" : $0 }))
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}"
  }
}
