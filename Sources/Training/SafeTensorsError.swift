import DurableFiles
import Glibc

/// A safetensors file that could not be written, or that must not be believed: which and why.
package struct SafeTensorsError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file.
  package let path: String
  /// What is wrong with it, or which call failed and why.
  package let reason: String
  /// The system's number of a reason that says nothing of what is in the file.
  let obstacle: CInt?

  /// An error about one file.
  package init(path: String, reason: String) {
    self.init(path: path, reason: reason, obstacle: nil)
  }

  private init(path: String, reason: String, obstacle: CInt?) {
    self.path = path
    self.reason = reason
    self.obstacle = obstacle
  }

  /// The error of a C call that has just failed: "open: No such file or directory".
  static func system(_ call: String, _ path: String, _ code: CInt = errno) -> SafeTensorsError {
    let advice = FileFailure.isLackOfSpace(code) ? ": free some there" : ""
    return SafeTensorsError(
      path: path, reason: "\(call): \(String(cString: strerror(code)))\(advice)",
      obstacle: FileFailure.passes(code) ? code : nil)
  }

  /// The error of a file that could not be written.
  init(_ failure: FileFailure) {
    let call =
      switch failure.step {
      case .create, .openFolder: "open"
      case .write: "write"
      case .sync: "fsync"
      case .close: "close"
      case .place: "rename"
      }
    self = .system(call, failure.path, failure.code)
  }

  /// "path: reason".
  package var description: String { "\(path): \(reason)" }
}
