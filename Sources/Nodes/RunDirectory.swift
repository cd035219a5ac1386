package import Configuration
import CLinux
import DurableFiles
import Glibc
import Messages
package import Observability
package import Training

/// The folder of one run: `config.json`, `metrics.jsonl`, `ledger.jsonl`, `model.safetensors`,
/// `summary.json` and a log a process.
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
    // A file of that name exists too, and root may write to it.
    var status = stat()
    guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFDIR else {
      throw NodeError("run directory \(path): is a file")
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw NodeError("run directory \(path): cannot write there: \(Self.reason())")
    }
  }

  /// A name for a new run: "runs/20261123-120000-fashion", by local time.
  package static func fresh(_ configuration: RunConfiguration) -> String {
    var now = time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let day = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
    let clock = "\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))"
    return "runs/\(day)-\(clock)-\(configuration.network.name ?? "custom")"
  }

  package var configuration: String { path + "/config.json" }
  package var metrics: String { path + "/metrics.jsonl" }
  package var events: String { path + "/events.jsonl" }
  package var ledger: String { path + "/ledger.jsonl" }
  package var model: String { path + "/model.safetensors" }
  package var summary: String { path + "/summary.json" }
  /// The folder of the processes' flight recorders.
  package var flight: String { path + "/flight" }
  /// The folder of checkpoints.
  package var checkpoints: String { path + "/checkpoints" }
  /// The newest checkpoint of this directory whose every byte is as it was written.
  ///
  /// - Parameter note: is given a line for each that was passed over.
  package func newestCheckpoint(_ note: (String) -> Void) -> Checkpoint? {
    guard hasCheckpoints else { return nil }
    return CheckpointStore(directory: checkpoints, keep: 1).newestGood(note)
  }

  /// Whether there is a folder of that name.
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether there is anything that `newestCheckpoint` could find.
  package var hasCheckpoints: Bool { access(checkpoints, F_OK) == 0 }
  /// The server's endpoint, while it runs.
  package var address: String { path + "/server.address" }
  /// Where its web page is, if it has one.
  package var pageAddress: String { path + "/http.address" }

  /// The keys of a run that encrypts.
  package var keys: KeyDirectory { KeyDirectory(path + "/keys") }

  /// The log of one process, "worker-1.log".
  package func log(_ name: String) -> String { "\(path)/\(name).log" }

  /// Writes the resolved configuration.
  package func write(_ configuration: RunConfiguration) throws(NodeError) {
    try Self.replace(self.configuration, with: configuration.resolvedJSON() + "\n")
  }

  /// Writes where the server listens, for who starts members beside it.
  package func write(address endpoint: String) throws(NodeError) {
    try Self.replace(address, with: endpoint + "\n")
  }

  /// The server's process, locked for as long as it lives.
  private var serverLock: String { path + "/server.pid" }

  /// Notes that this process is the run's server. The lock goes with the process, however it ends.
  ///
  /// - Throws: `NodeError` if another server writes into the directory.
  package func claim() throws(NodeError) {
    let descriptor = open(serverLock, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw NodeError("cannot write \(serverLock): \(Self.reason())") }
    guard crosscut_lock(descriptor) == 0 else {
      close(descriptor)
      throw NodeError("run directory \(path): the server of another run writes there")
    }
    let text = "\(getpid())\n"
    guard ftruncate(descriptor, 0) == 0, Glibc.write(descriptor, text, text.utf8.count) > 0 else {
      throw NodeError("cannot write \(serverLock): \(Self.reason())")
    }
    // The descriptor stays open: it is the lock.
  }

  /// The process of the run's server, if it lives and is on this machine.
  package var serverProcess: Int32? {
    let descriptor = open(serverLock, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // Nobody holds the lock: whatever has that number now is not the server.
    guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
    return Self.text(of: serverLock).flatMap { Int32($0.dropLast()) }.flatMap { $0 > 1 ? $0 : nil }
  }

  /// Writes where the web page is; removes what an earlier run has left if there is none.
  package func write(pageAddress url: String?) throws(NodeError) {
    guard let url else {
      unlink(pageAddress)
      return
    }
    try Self.replace(pageAddress, with: url + "\n")
  }

  /// The text of a small file of the directory, or `nil` if it is not there (yet).
  package static func text(of path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += buffer[0..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// How the run ended, if it has.
  package func readSummary() -> StatusRecord? {
    guard let text = Self.text(of: summary) else { return nil }
    return try? StatusRecord.decode(Array(text.utf8))
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
    do throws(FileFailure) {
      try AtomicFile.write(
        Array(text.utf8), to: path, beside: path + ".new", permissions: 0o666)
    } catch {
      throw NodeError("cannot write \(error.path): \(error.words)")
    }
  }

  private static func reason() -> String { String(cString: strerror(errno)) }
}
