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

  /// A key that is to be put on the list, and the token by which.
  struct Enrolment: Hashable, Sendable {
    let key: PublicKey
    let token: PublicKey

    /// What the key's line calls it.
    var name: String { "by-token-\(token.short)" }
  }

  private struct State {
    var stamp: Stamp?
    var entries: [PublicKey: Entry] = [:]
    /// Keys by the name on their lines: how many each token has put there.
    var named: [String: Int] = [:]
    var trouble: String?
    /// When the file was looked at last, monotonic microseconds.
    var lookedAt: UInt64?
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

  /// Keys that one token may put on the list: members that are started anew come with new ones.
  static let mostByToken = 1024
  /// Lines beyond which no token puts any more on it: the whole list is read and written for each.
  static let mostLines = 4096

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
  ///
  /// - Parameter age: microseconds since the last look at the file that are no reason for another.
  package func standing(of key: PublicKey, noOlderThan age: UInt64 = 0) -> Entry? {
    state.withLock { state in
      let time = MonotonicClock.now()
      if state.lookedAt.map({ time - min(time, $0) >= age }) ?? true {
        state.lookedAt = time
        do throws(NodeError) {
          try refresh(&state)
          state.trouble = nil
        } catch {
          // The list as it was: a slip of the editor locks nobody out.
          state.trouble = error.message
        }
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

  /// Why a token may put no more keys on the list, as far as that is known without reading it.
  func objection(to wanted: Enrolment) -> NodeError? {
    state.withLock { state in
      state.entries[wanted.key] == nil
        ? Self.objection(
          to: wanted, byToken: state.named[wanted.name] ?? 0, lines: state.entries.count) : nil
    }
  }

  private static func objection(
    to wanted: Enrolment, byToken count: Int, lines: Int
  ) -> NodeError? {
    if count >= mostByToken {
      return NodeError(
        "the token has put \(count) keys on the list, the most it may; crosscut token prints a new "
          + "one")
    }
    return lines >= mostLines
      ? NodeError("the server's list has \(lines) lines: take out of it who is gone") : nil
  }

  /// Puts keys on the list in the name of tokens, which are used up if they hold but once; one write
  /// for all.
  ///
  /// - Returns: of each why it is not on the list: the token does not hold any more or has put too
  ///   many there, or the list cannot be written.
  func enrol(_ wanted: [Enrolment]) -> [NodeError?] {
    var answers: [NodeError?] = []
    do throws(NodeError) {
      let time = now()
      try change { entries throws(NodeError) in
        var list = Dictionary(entries.map { ($0.key, $0) }) { $1 }
        var named = Self.countNames(entries)
        var used: Set<PublicKey> = []
        for enrolment in wanted {
          let (new, isLast, objection) = Self.enrol(
            enrolment, in: list, byToken: named[enrolment.name] ?? 0, at: time)
          answers.append(objection)
          if isLast {
            used.insert(enrolment.token)
            list[enrolment.token] = nil
          }
          guard let new else { continue }
          list[new.key] = new
          named[enrolment.name, default: 0] += 1
          entries.append(new)
        }
        entries.removeAll { used.contains($0.key) }
      }
    } catch {
      return wanted.map { _ in error }
    }
    return answers
  }

  /// - Returns: the line to be added, if there is none yet, and whether the token is used up.
  private static func enrol(
    _ wanted: Enrolment, in list: [PublicKey: Entry], byToken count: Int, at time: Int
  ) -> (new: Entry?, isLast: Bool, objection: NodeError?) {
    guard case .token(_, _, let until, let once) = list[wanted.token], time < until else {
      return (nil, false, NodeError(expired))
    }
    switch list[wanted.key] {
    case .node: return (nil, once, nil)
    case .token: return (nil, false, NodeError("that key is a token's"))
    case nil:
      if let objection = objection(to: wanted, byToken: count, lines: list.count) {
        return (nil, false, objection)
      }
      return (.node(wanted.key, name: wanted.name), once, nil)
    }
  }

  /// What somebody whose token does not hold is told.
  static let expired = "the token has expired or has been used; crosscut token prints a new one"

  private static func countNames(_ entries: some Sequence<Entry>) -> [String: Int] {
    var counts: [String: Int] = [:]
    for case .node(_, let name) in entries { counts[name, default: 0] += 1 }
    return counts
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
    var entries = try read()
    let before = entries
    let time = now()
    try body(&entries)
    guard entries != before else { return }
    entries.removeAll {
      if case .token(_, _, let until, _) = $0 { until <= time } else { false }
    }
    let text = Self.header + entries.map { $0.line + "\n" }.joined()
    guard text.utf8.count <= SecretFile.mostBytes else {
      throw NodeError("\(path) is full: take out of it who is gone")
    }
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
    let entries = try read()
    state.entries = Dictionary(entries.map { ($0.key, $0) }) { $1 }
    state.named = Self.countNames(entries)
    state.stamp = stamp
  }

  private func read() throws(NodeError) -> [Entry] {
    try SecretFile.checkOwner(of: path)
    let text = try SecretFile.read(path)
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
