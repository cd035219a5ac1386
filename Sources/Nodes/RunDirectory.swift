package import Configuration
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
    let path = Self.named(path)
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

  /// A path as it can be an argument of a process: not as an option's name.
  package static func named(_ path: String) -> String {
    path.hasPrefix("-") ? "./" + path : path
  }

  /// Uses the folder of a run that is there, to look at: nothing is made, and it may be one that this
  /// process must not write to, as another user's.
  package init(existing path: String) { self.path = path }

  /// A folder for a new run, which nobody else has: "runs/20261123-120000-fashion", by local time,
  /// and with "-2" where another run began in the same second.
  ///
  /// - Throws: `NodeError` if it cannot be made or written to.
  package static func fresh(
    _ configuration: RunConfiguration, in folder: String = "runs", at unixSeconds: Int? = nil
  ) throws(NodeError) -> RunDirectory {
    var now = unixSeconds ?? time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let day = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
    let clock = "\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))"
    let name = "\(folder)/\(day)-\(clock)-\(configuration.network.name ?? "custom")"
    // A network's name may have slashes.
    _ = try RunDirectory(String(name[..<(name.lastIndex(of: "/") ?? name.endIndex)]))
    var path = name
    var number = 1
    while mkdir(path, 0o777) != 0 {
      guard errno == EEXIST else {
        throw NodeError("run directory \(path): cannot make it: \(reason())")
      }
      number += 1
      path = "\(name)-\(number)"
    }
    return try RunDirectory(path)
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
  /// - Parameters:
  ///   - wait: waits a second where one cannot be read now, and says whether to try again.
  ///   - note: is given a line for each that was passed over.
  /// - Throws: `CheckpointError` if one that may be good cannot be read now.
  package func newestCheckpoint(
    wait: () -> Bool = { false }, _ note: (String) -> Void
  ) throws(CheckpointError) -> Checkpoint? {
    let store = CheckpointStore(directory: checkpoints, keep: 1)
    return try CheckpointStore.untilReadable(wait: wait, note) { note throws(CheckpointError) in
      try store.newestGood(note)
    }
  }

  /// Whether there is a folder of that name.
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether a path leads here.
  package func isAt(_ path: String) -> Bool { FolderNames.isSame(path, self.path) }

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

  /// When the configuration was last changed, microseconds since 1970; 0 if there is none.
  package var configuredAt: UInt64 {
    var status = stat()
    guard stat(configuration, &status) == 0 else { return 0 }
    return UInt64(max(0, status.st_mtim.tv_sec)) * 1_000_000
      + UInt64(max(0, status.st_mtim.tv_nsec)) / 1000
  }

  /// Writes where the server listens, for who starts members beside it.
  ///
  /// Where the disk has no room for that, over what the server before has written.
  package func write(address endpoint: String) throws(NodeError) {
    do throws(NodeError) {
      try Self.replace(address, with: endpoint + "\n")
    } catch {
      guard Self.overwrite(address, from: 0, with: endpoint + "\n") else { throw error }
    }
  }

  /// Makes the address of a server that has died unfinished, for which a reader waits. Its file stays: on
  /// a full disk there is no room for another.
  func takeBackAddress() {
    // Taken back already, by an attempt that came to nothing.
    guard let text = Self.text(of: address), text.hasSuffix("\n") else { return }
    if !Self.overwrite(address, from: text.utf8.count - 1, with: " ") { unlink(address) }
  }

  /// Writes where the web page is; removes what an earlier run has left if there is none.
  package func write(pageAddress url: String?) throws(NodeError) {
    guard let url else {
      unlink(pageAddress)
      return
    }
    try Self.replace(pageAddress, with: url + "\n")
  }

  /// Bytes of the ledger.
  var ledgerLength: Int {
    var status = stat()
    return stat(ledger, &status) == 0 ? status.st_size : 0
  }

  /// Whether the run was under way before: its ledger has a step.
  ///
  /// - Parameter offset: bytes of the ledger that are another run's, or another start's.
  package func hasTakenSteps(beyond offset: Int = 0) -> Bool {
    let descriptor = open(ledger, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // A line a start that came to nothing, then the first step.
    var beginning = [UInt8](repeating: 0, count: 1 << 16)
    let count = pread(descriptor, &beginning, beginning.count, offset)
    return String(decoding: beginning[..<max(0, count)], as: UTF8.self).contains(#""kind":"step""#)
  }

  /// The text of a small file of the directory from an offset on, or `nil` if it is not there (yet) or
  /// cannot be read.
  package static func text(of path: String, from offset: Int = 0) -> String? {
    (try? contents(of: path, from: offset)).flatMap(\.self)
  }

  /// The text of a file from an offset on, or `nil` if it is not there.
  ///
  /// - Throws: `NodeError` if it cannot be read: nobody wants a part of it.
  package static func contents(
    of path: String, from offset: Int = 0
  ) throws(NodeError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      guard errno == ENOENT || errno == ENOTDIR else {
        throw NodeError("\(path) cannot be read: \(reason().lowercased())")
      }
      return nil
    }
    defer { close(descriptor) }
    // What is no file has no offsets, as a pipe.
    if offset > 0 { lseek(descriptor, off_t(offset), SEEK_SET) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw NodeError("\(path) cannot be read: \(reason().lowercased())")
      }
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

  /// Whether the server that was here last has begun and not said how it ended: asked before the
  /// next one begins.
  var lastServerDied: Bool {
    var begun = stat()
    return stat(ledger, &begun) == 0 && begun.st_size > 0 && access(summary, F_OK) != 0
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
  static func replace(_ path: String, with text: String) throws(NodeError) {
    // Takes no room on a disk that has none.
    guard Self.text(of: path) != text else { return }
    do throws(FileFailure) {
      try AtomicFile.write(
        Array(text.utf8), to: path, beside: path + ".new")
    } catch {
      throw NodeError("cannot write \(error.path): \(error.words)")
    }
  }

  /// Writes over a file's own bytes, which takes no room, and cuts it behind them.
  ///
  /// - Returns: whether there were as many.
  private static func overwrite(_ path: String, from offset: Int, with text: String) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var status = stat()
    let (count, end) = (text.utf8.count, offset + text.utf8.count)
    return fstat(descriptor, &status) == 0 && status.st_size >= end
      && pwrite(descriptor, text, count, off_t(offset)) == count
      && ftruncate(descriptor, off_t(end)) == 0
  }

  static func reason() -> String { String(cString: strerror(errno)) }
}
