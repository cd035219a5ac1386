package import DurableFiles
import Glibc

/// Who writes into a run directory: one launcher and one server at a time. Where the file system has
/// no locks (a Lustre without -o flock, an NFS without a lock daemon), it goes without.
extension RunDirectory {
  /// Where a process lives: of others its number means nothing here.
  package enum Home: Hashable, Sendable {
    /// On this machine, in this container, under this number.
    case here(Int32)
    /// On another host, or in a container, of that name.
    case elsewhere(host: String)
  }

  /// The server's process, locked for as long as it lives.
  private var serverLock: String { path + "/server.pid" }
  /// That of `crosscut train`.
  private var launcherLock: String { path + "/train.pid" }

  /// Notes that this process is the run's server. The lock goes with the process, however it ends.
  ///
  /// - Throws: `NodeError` if another server writes into the directory.
  package func claim(_ calls: FileCalls = FileCalls()) throws(NodeError) {
    try lock(serverLock, "the server of another run writes there", calls)
  }

  /// Notes that this process is the one that starts the run's processes.
  ///
  /// - Throws: `NodeError` if a run goes on in the directory; nothing of it has been touched then.
  package func claimAsLauncher(_ calls: FileCalls = FileCalls()) throws(NodeError) {
    try lock(
      launcherLock, "another crosscut train runs there; crosscut stop \(path) ends it", calls)
    // One that was started by hand, or whose launcher was killed.
    guard server(calls) == nil else {
      throw NodeError(
        "run directory \(path): the server of another run writes there; crosscut stop \(path) "
          + "ends it")
    }
  }

  /// Removes the directory of a run that never began, which this process has made: it would pass for
  /// the newest run.
  ///
  /// - Returns: whether it is gone. One with a ledger or with anybody else's files stays.
  package func removeUnlessBegun() -> Bool {
    let own = [
      "config.json", "origin.json", "server.pid", "train.pid", "http.address", "server.address",
    ]
    let flights = Folders.names(in: flight)
    let names = Folders.names(in: path)
    guard
      names.allSatisfy({ own.contains($0) || $0.hasSuffix(".log") || $0 == "flight" }),
      flights.allSatisfy({ $0.hasSuffix(".flight") })
    else { return false }
    for name in flights { unlink("\(flight)/\(name)") }
    rmdir(flight)
    for name in names { unlink("\(path)/\(name)") }
    return rmdir(path) == 0
  }

  private func lock(
    _ file: String, _ objection: String, _ calls: FileCalls
  ) throws(NodeError) {
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw NodeError("cannot write \(file): \(Self.reason())") }
    guard calls.lock(descriptor) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw NodeError("run directory \(path): \(objection)")
    }
    let text = "\(getpid())\n\(Host.name)\n\(Host.processSpace)\n"
    // Over what is there first: a full disk has no room for what was cut.
    guard pwrite(descriptor, text, text.utf8.count, 0) == text.utf8.count,
      ftruncate(descriptor, off_t(text.utf8.count)) == 0
    else {
      throw NodeError("cannot write \(file): \(Self.reason())")
    }
    // The descriptor stays open: it is the lock.
  }

  /// Where the run's server is, if it lives.
  package var server: Home? { server(FileCalls()) }

  /// Where `crosscut train` is, if it lives.
  package var launcher: Home? { holder(of: launcherLock, FileCalls()) }

  /// Whether `summary.json` is of the server that lives, or lived last, and not of one before.
  package var isSummaryOfServer: Bool {
    var (summary, claim) = (stat(), stat())
    guard stat(self.summary, &summary) == 0, stat(serverLock, &claim) == 0 else { return false }
    let (ended, begun) = (summary.st_mtim, claim.st_mtim)
    return (ended.tv_sec, ended.tv_nsec) >= (begun.tv_sec, begun.tv_nsec)
  }

  private func server(_ calls: FileCalls) -> Home? { holder(of: serverLock, calls) }

  private func holder(of file: String, _ calls: FileCalls) -> Home? {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // Nobody holds the lock: whatever has that number now is another process.
    guard calls.share(descriptor) != 0, errno == EWOULDBLOCK else { return nil }
    return Self.text(of: file).flatMap { Self.home($0) }
  }

  /// What a lock's text says; one without an end is being written.
  static func home(_ text: String, here: String = Host.processSpace) -> Home? {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.count > 3, lines[2] != here { return .elsewhere(host: "\(lines[1])") }
    guard text.contains("\n"), let process = Int32(lines[0]) else { return nil }
    // The first process of a container may be a server; without its name nobody knows of which.
    guard process > 1 || process == 1 && lines.count > 3 else { return nil }
    return .here(process)
  }
}
