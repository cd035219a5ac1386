package import Configuration
import Glibc
import Messages
import Observability

/// The folder of one run: `config.json`, `metrics.jsonl`, `model.safetensors`, `summary.json` and
/// a log a process.
package struct RunDirectory: Hashable, Sendable {
  package let path: String

  /// Uses `path`, made if need be with its parents.
  ///
  /// - Throws: `NodeError` if it cannot be made or written to.
  package init(_ path: String) throws(NodeError) {
    self.path = path
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += made.isEmpty || made.hasSuffix("/") ? "\(part)" : "/\(part)"
      guard mkdir(made, 0o777) == 0 || errno == EEXIST else {
        throw NodeError("run directory \(path): cannot make \(made): \(Self.reason())")
      }
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw NodeError("run directory \(path): cannot write there: \(Self.reason())")
    }
  }

  package var configuration: String { path + "/config.json" }
  package var metrics: String { path + "/metrics.jsonl" }
  package var model: String { path + "/model.safetensors" }
  package var summary: String { path + "/summary.json" }

  /// The log of one process, "worker-1.log".
  package func log(_ name: String) -> String { "\(path)/\(name).log" }

  /// Writes the resolved configuration.
  package func write(_ configuration: RunConfiguration) throws(NodeError) {
    try Self.replace(self.configuration, with: configuration.resolvedJSON() + "\n")
  }

  /// Writes how the run ended: the last status, as JSON.
  func writeSummary(_ record: StatusRecord, _ stop: Stop, _ log: Logger) {
    do throws(NodeError) {
      try Self.replace(summary, with: String(decoding: record.json(), as: UTF8.self) + "\n")
    } catch {
      log.error("\(error)")
    }
  }

  /// Writes a small file beside and renames it, so that a reader never sees half of it.
  private static func replace(_ path: String, with text: String) throws(NodeError) {
    let beside = path + ".new"
    let descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw NodeError("cannot write \(beside): \(reason())") }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else {
        let why = reason()
        close(descriptor)
        unlink(beside)
        throw NodeError("cannot write \(beside): \(why)")
      }
      bytes = bytes.dropFirst(written)
    }
    guard fsync(descriptor) == 0, close(descriptor) == 0, rename(beside, path) == 0 else {
      throw NodeError("cannot write \(path): \(reason())")
    }
  }

  private static func reason() -> String { String(cString: strerror(errno)) }
}
