import Glibc

/// A file of whole lines that only this process appends to, and that loses none to a full disk.
///
/// What cannot be written waits in memory and is written, in its order, as soon as the file takes it
/// again. A line of which a part got out is continued at the very byte; what a killed process has
/// left of one is cut off at the opening. Not thread-safe: its owner guards it.
struct JournalFile: ~Copyable {
  /// How many bytes it holds in memory at most.
  struct Bounds: Hashable, Sendable {
    /// What waits for room: of more, the oldest lines are lost.
    var waiting: Int
    /// What is written, and not yet known to be on the disk: after a sync that failed it is written
    /// once more. Of more, nothing is held; 0 for a file that nobody syncs.
    var unsynced = 0
  }

  /// The system's calls; tests play a disk.
  struct System: Sendable {
    var write: @Sendable (CInt, UnsafeRawPointer?, Int) -> Int = { Glibc.write($0, $1, $2) }
    var sync: @Sendable (CInt) -> CInt = { fsync($0) }
    var cut: @Sendable (CInt, Int) -> CInt = { ftruncate($0, off_t($1)) }
  }

  /// What its owner may want to say.
  enum News: Hashable, Sendable {
    /// The opening cut off so many bytes of a line without its end.
    case cutOff(bytes: Int)
    /// From now on lines wait, for this reason.
    case failing(String)
    /// More than the bound waits: lines are lost from now on.
    case losing
    /// Everything that waited is written: so many lines, and so many were lost meanwhile.
    case recovered(lines: Int, lost: Int)
    /// The end: so many lines are written nowhere.
    case abandoned(lines: Int)
  }

  let descriptor: CInt
  private let bounds: Bounds
  private let system: System
  /// The file's length, all of it written here or before.
  private var length: Int
  /// Lines with their line feeds, the first perhaps without its beginning.
  private var waiting: [UInt8] = []
  /// Whether the file ends within the line that waits first.
  private var isMidLine = false
  /// The end of the file, from `syncedLength` on.
  private var unsynced: [UInt8] = []
  private var syncedLength: Int
  /// Where the file has to be cut before it is written to: what comes behind waits anew.
  private var cutAt: Int?
  /// Why lines wait; with how many waited since, and were lost.
  private var failure: String?
  private var waited = 0
  private var lost = 0
  /// What nobody has been told yet.
  private var news: [News] = []

  /// Opens `path` for appending, and makes it if it is not there.
  init(path: String, bounds: Bounds, system: System = System()) throws(ObservabilityError) {
    let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard file >= 0 else { throw Self.failed("opened", path) }
    let end = max(0, Int(lseek(file, 0, SEEK_END)))
    let whole = Self.wholeLines(of: file, end)
    guard whole == end || system.cut(file, whole) == 0 else {
      let error = Self.failed("cut after its last whole line", path)
      close(file)
      throw error
    }
    descriptor = file
    self.bounds = bounds
    self.system = system
    length = whole
    syncedLength = whole
    if whole < end { news.append(.cutOff(bytes: end - whole)) }
  }

  deinit { close(descriptor) }

  /// Where the last whole line of a file of `end` bytes ends.
  private static func wholeLines(of descriptor: CInt, _ end: Int) -> Int {
    var end = end
    var block = [UInt8](repeating: 0, count: 4096)
    while end > 0 {
      let first = max(0, end - block.count)
      let count = pread(descriptor, &block, end - first, off_t(first))
      // What cannot be read is left as it is.
      guard count == end - first else { return end }
      if let last = block[..<count].lastIndex(of: 0x0A) { return first + last + 1 }
      end = first
    }
    return 0
  }

  private static func failed(_ what: String, _ path: String) -> ObservabilityError {
    ObservabilityError("\(path): cannot be \(what): \(reason())")
  }

  private static func reason() -> String { String(cString: strerror(errno)) }

  /// What has happened since it was asked last.
  mutating func takeNews() -> [News] {
    defer { news = [] }
    return news
  }

  // MARK: Writing

  /// Appends a line and its line feed, now or when there is room.
  mutating func append(_ line: [UInt8]) {
    waiting += line
    waiting.append(0x0A)
    if failure != nil { waited += 1 }
    flush()
  }

  /// Writes what waits, as far as that goes.
  mutating func flush() {
    guard !waiting.isEmpty || cutAt != nil else { return }
    if let problem = drain() {
      begin(problem)
      loseOldest()
    } else if failure != nil {
      news.append(.recovered(lines: waited, lost: lost))
      failure = nil
    }
    // Of that much, nothing could be held: it starts anew behind a whole line.
    if unsynced.count > bounds.unsynced, waiting.isEmpty {
      unsynced = []
      syncedLength = length
    }
  }

  /// - Returns: `nil`, or the system's words for why not everything is written.
  private mutating func drain() -> String? {
    if let cutAt {
      guard system.cut(descriptor, cutAt) == 0 else { return Self.reason() }
      length = cutAt
      isMidLine = false
      self.cutAt = nil
    }
    var done = 0
    defer { waiting.removeFirst(done) }
    while done < waiting.count {
      let wrote = waiting.withUnsafeBytes { bytes in
        system.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { return wrote < 0 ? Self.reason() : "the disk took nothing" }
      if bounds.unsynced > 0 { unsynced += waiting[done..<done + wrote] }
      done += wrote
      length += wrote
      isMidLine = waiting[done - 1] != 0x0A
    }
    return nil
  }

  private mutating func begin(_ problem: String) {
    guard failure == nil else { return }
    failure = problem
    waited = waitingLines
    lost = 0
    news.append(.failing(problem))
  }

  private var waitingLines: Int { waiting.count { $0 == 0x0A } }

  /// Gives up the oldest lines if more than the bound waits, an eighth of it at once: each time the
  /// others move.
  private mutating func loseOldest() {
    guard waiting.count > bounds.waiting else { return }
    if lost == 0 { news.append(.losing) }
    // What has begun is ended.
    var first = 0
    if isMidLine { first = (waiting.firstIndex(of: 0x0A) ?? 0) + 1 }
    var end = first
    while waiting.count - (end - first) > bounds.waiting / 8 * 7,
      let next = waiting[end...].firstIndex(of: 0x0A)
    {
      end = next + 1
      lost += 1
      waited -= 1
    }
    waiting.removeSubrange(first..<end)
  }

  /// Writes what it can, and tells of what it cannot.
  mutating func finish() {
    flush()
    if !waiting.isEmpty { news.append(.abandoned(lines: waitingLines)) }
  }

  // MARK: Syncing

  /// What a sync is to bring to the disk.
  enum Sync: Hashable, Sendable {
    /// The file up to this length.
    case upTo(Int)
    /// It would be for nothing: lines wait, for this reason.
    case waits(String)
  }

  /// Begins a sync; what waits is written before.
  mutating func beginSync() -> Sync {
    flush()
    guard waiting.isEmpty, cutAt == nil else { return .waits(failure ?? "lines wait") }
    return .upTo(length)
  }

  /// Takes in what came of a sync. If it failed, the kernel may have dropped what was written, and
  /// may call the next sync good: all that is not known to be on the disk is written again.
  mutating func endSync(of goal: Int, problem: String?) {
    guard let problem else {
      // Another sync may have been faster, and the file may have been cut since.
      guard goal > syncedLength, goal - syncedLength <= unsynced.count else { return }
      unsynced.removeFirst(goal - syncedLength)
      syncedLength = goal
      return
    }
    waiting = unsynced + waiting
    unsynced = []
    cutAt = syncedLength
    begin(problem)
  }
}
