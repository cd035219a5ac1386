import Glibc
import Synchronization
package import Transport

/// The list of those whom a server lets in: a file, read again whenever it has changed.
///
/// Safe to ask from any thread, and to change from several processes at once.
package final class AllowedKeys: Sendable {
  /// A line of the list.
  package enum Entry: Hashable, Sendable {
    /// A machine, which may do everything.
    case node(PublicKey, name: String)
    /// A token: may fetch a key of its own, and ask for the status. `until` in seconds since 1970.
    case token(PublicKey, name: String, until: Int, once: Bool)

    package var key: PublicKey {
      switch self {
      case .node(let key, _), .token(let key, _, _, _): key
      }
    }

    var line: String {
      switch self {
      case .node(let key, let name): "node \(key) \(name)"
      case .token(let key, let name, let until, let once):
        "token \(key) \(name) until=\(until)" + (once ? " once" : "")
      }
    }

    /// `nil` for what is no line of the list.
    init?(line: Substring) {
      let words = line.split { $0 == " " }.map(String.init)
      guard words.count >= 3, let key = PublicKey(hex: words[1]) else { return nil }
      switch (words[0], words.count) {
      case ("node", 3): self = .node(key, name: words[2])
      case ("token", 4), ("token", 5):
        guard words[3].hasPrefix("until="), let until = Int(words[3].dropFirst(6)),
          words.count == 4 || words[4] == "once"
        else { return nil }
        self = .token(key, name: words[2], until: until, once: words.count == 5)
      default: return nil
      }
    }
  }

  private struct State {
    var stamp: Stamp?
    var entries: [PublicKey: Entry] = [:]
    var trouble: String?
  }

  /// What changes when the file does.
  private struct Stamp: Hashable {
    let inode: UInt
    let size: Int
    let seconds: Int
    let nanoseconds: Int
  }

  static let header = """
    # Crosscut: who may connect to the server beside this file. It reads the list again whenever it
    # changes; who is on no line is refused. A line: node PUBLIC-KEY NAME, or
    # token PUBLIC-KEY NAME until=SECONDS [once]. Take a line out to lock somebody out.

    """

  package let path: String
  private let now: @Sendable () -> Int
  private let lock: @Sendable (CInt) -> CInt
  private let state = Mutex(State())

  /// - Parameters:
  ///   - now: seconds since 1970.
  ///   - lock: waits for the lock of the folder whose descriptor it is given.
  /// - Throws: `NodeError` with path and line if the list cannot be read.
  package init(
    path: String, now: @escaping @Sendable () -> Int = { time(nil) },
    lock: @escaping @Sendable (CInt) -> CInt = { flock($0, LOCK_EX) }
  ) throws(NodeError) {
    self.path = path
    self.now = now
    self.lock = lock
    try state.withLock { state throws(NodeError) in try refresh(&state) }
  }

  /// What the list says of a key; `nil` if it is not there or its time is over.
  package func standing(of key: PublicKey) -> Entry? {
    state.withLock { state in
      do throws(NodeError) {
        try refresh(&state)
        state.trouble = nil
      } catch {
        // The list as it was: a slip of the editor locks nobody out.
        state.trouble = error.message
      }
      guard let entry = state.entries[key] else { return nil }
      if case .token(_, _, let until, _) = entry, now() >= until { return nil }
      return entry
    }
  }

  /// Why the list could not be read again, if so.
  package var trouble: String? { state.withLock { $0.trouble } }

  /// Adds a line.
  package func add(_ entry: Entry) throws(NodeError) {
    try change { entries throws(NodeError) in entries.append(entry) }
  }

  /// Puts `key` on the list in the name of a token, which is used up if it holds but once.
  ///
  /// - Throws: `NodeError` if the token does not hold any more, or the list cannot be written.
  package func enrol(_ key: PublicKey, as name: String, by token: PublicKey) throws(NodeError) {
    let time = now()
    try change { entries throws(NodeError) in
      let index = entries.firstIndex { $0.key == token }
      guard let index, case .token(_, _, let until, let once) = entries[index], time < until else {
        throw NodeError("the token has expired or has been used; crosscut token prints a new one")
      }
      if once { entries.remove(at: index) }
      entries.removeAll { $0.key == key }
      entries.append(.node(key, name: name))
    }
  }

  /// Reads, changes and writes the list while no other process does; tokens whose time is over go.
  private func change(
    _ body: (inout [Entry]) throws(NodeError) -> Void
  ) throws(NodeError) {
    let folder = open(Folders.parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else {
      throw NodeError("cannot write \(path): \(SecretFile.reason())")
    }
    defer { close(folder) }
    // Where the file system has no locks it goes without.
    while lock(folder) != 0, errno == EINTR {}
    var entries = try Self.parse(try SecretFile.read(path), path)
    let time = now()
    try body(&entries)
    entries.removeAll {
      if case .token(_, _, let until, _) = $0 { until <= time } else { false }
    }
    let text = Self.header + entries.map { $0.line + "\n" }.joined()
    try SecretFile.write(path, text, replacing: true)
  }

  private func refresh(_ state: inout State) throws(NodeError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw NodeError("cannot read \(path): \(SecretFile.reason())")
    }
    let stamp = Stamp(
      inode: status.st_ino, size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
      nanoseconds: status.st_mtim.tv_nsec)
    guard stamp != state.stamp else { return }
    let entries = try Self.parse(try SecretFile.read(path), path)
    state.entries = Dictionary(entries.map { ($0.key, $0) }) { $1 }
    state.stamp = stamp
  }

  private static func parse(_ text: String, _ path: String) throws(NodeError) -> [Entry] {
    var entries: [Entry] = []
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated()
    where !line.hasPrefix("#") && !line.allSatisfy(\.isWhitespace) {
      guard let entry = Entry(line: line) else {
        throw NodeError(
          "\(path), line \(index + 1): expected \"node PUBLIC-KEY NAME\" or "
            + "\"token PUBLIC-KEY NAME until=SECONDS [once]\"")
      }
      entries.append(entry)
    }
    return entries
  }
}
