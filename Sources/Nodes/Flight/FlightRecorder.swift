import Coordination
import Glibc
import Messages
import Observability
import Synchronization
import Tensors

/// Keeps what a node's socket thread saw and did lately, in a file of fixed size that outlives the
/// process however it ends; `crosscut replay` reads it.
///
/// The file is mapped into memory: a record costs a copy of some hundred bytes. Confined to the
/// thread that made it, which is the socket thread.
package final class FlightRecorder {
  /// Of a process's ring: minutes of a cluster that makes a few steps a second.
  package static let ringBytes = 4 << 20
  /// Files of a role that stay in a folder when another one is made.
  private static let mostFiles = 6

  private let memory: UnsafeMutableRawBufferPointer
  /// Locked for as long as the process lives: nobody else clears it away.
  private let descriptor: CInt
  private let capacity: Int
  private var end: UInt64 = 0
  private var start: UInt64 = 0

  /// Makes the file of a process, `FOLDER/ROLE-PROCESS.flight`, or with a number behind it where
  /// there is one already.
  ///
  /// - Returns: `nil`, after a warning, where it cannot be made: a node works without.
  static func open(in folder: String?, role: Role, log: Logger) -> FlightRecorder? {
    guard let folder else { return nil }
    do throws(NodeError) {
      guard mkdir(folder, 0o777) == 0 || errno == EEXIST else { throw failure("make", folder) }
      removeOld(in: folder, role)
      let stem = "\(folder)/\(role.rawValue)-\(getpid())"
      let numbers = [""] + (2...mostFiles + 1).map { "-\($0)" }
      let paths = numbers.map { "\(stem)\($0).flight" }
      let path = paths.first { !RunDirectory.exists($0) }
      return try FlightRecorder(
        path: path ?? "\(stem).flight", name: role.rawValue, ringBytes: ringBytes)
    } catch {
      log.warning("no flight recorder: \(error)")
      return nil
    }
  }

  /// - Throws: `NodeError` if the file cannot be made whole: a full disk must show now, and not as a
  ///   fault of memory later.
  package init(path: String, name: String, ringBytes: Int) throws(NodeError) {
    precondition(ringBytes >= 2 * FlightRecord.mostBytes, "a ring of \(ringBytes) bytes")
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Self.failure("make", path) }
    let size = FlightRing.headerBytes + ringBytes
    let code = posix_fallocate(descriptor, 0, off_t(size))
    guard code == 0 else {
      close(descriptor)
      unlink(path)
      errno = code
      throw Self.failure("fill", path)
    }
    guard
      let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      address != UnsafeMutableRawPointer(bitPattern: -1)
    else {
      defer { close(descriptor) }
      throw Self.failure("map", path)
    }
    self.descriptor = descriptor
    // Where the file system has no locks it goes without.
    flock(descriptor, LOCK_EX | LOCK_NB)
    memory = UnsafeMutableRawBufferPointer(start: address, count: size)
    capacity = ringBytes
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let wall = UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
    put(FlightRing.version, at: 8)
    put(UInt64(ringBytes), at: 16)
    put(wall &- MonotonicClock.now(), at: 40)
    put(UInt64(getpid()), at: 48)
    rename(name)
    // Last: before that it is nobody's file.
    memory.copyBytes(from: FlightRing.magic)
  }

  deinit {
    munmap(memory.baseAddress, memory.count)
    close(descriptor)
  }

  /// Notes what people call the node.
  package func rename(_ name: String) {
    let bytes = Array(name.utf8.prefix(FlightRing.nameBytes - 1)) + [0]
    UnsafeMutableRawBufferPointer(rebasing: memory[FlightRing.nameOffset...]).copyBytes(from: bytes)
  }

  /// Notes a message, without its tensors.
  func note(_ kind: FlightRecord.Kind, _ parts: [Frame]) {
    guard let header = parts.first, header.byteCount <= Limits.headerBytes,
      parts.count <= 1 + Limits.frames
    else { return }
    note(
      FlightRecord(
        kind, time: MonotonicClock.now(), bytes: Array(header.bytes),
        frames: parts.dropFirst().map { UInt32(truncatingIfNeeded: $0.byteCount) }))
  }

  /// Notes anything else.
  func note(_ kind: FlightRecord.Kind, number: UInt64 = 0, text: String = "") {
    note(
      FlightRecord(
        kind, time: MonotonicClock.now(), number: number,
        bytes: Array(text.utf8.prefix(Limits.stringBytes))))
  }

  /// Notes what a member's core said, but for the messages.
  func note(_ directive: SessionDirective) {
    switch directive {
    case .note(let text), .warning(let text): note(.note, text: text)
    case .asked(let id, let word): note(.asked, number: id.value, text: word)
    case .computed(let id, let failure?): note(.failed, number: id.value, text: failure)
    case .computed(let id, .none): note(.computed, number: id.value)
    case .hopeless(let id, let failure): note(.hopeless, number: id.value, text: failure)
    case .notFinite(let id, let place, let what):
      note(.notFinite, number: id.value, text: "\(place) \(what)")
    case .drained: note(.drained, number: 0)
    case .send, .meet, .exit: break
    }
  }

  package func note(_ record: FlightRecord) {
    let bytes = record.encoded
    precondition(bytes.count <= FlightRecord.mostBytes, "a record of \(bytes.count) bytes")
    while end + UInt64(bytes.count) - start > UInt64(capacity) { start += oldestLength }
    put(start, at: FlightRing.startOffset)
    // Who reads the file meanwhile counts on the order.
    atomicMemoryFence(ordering: .releasing)
    let first = Int(end % UInt64(capacity))
    let straight = min(bytes.count, capacity - first)
    bytes.withUnsafeBytes { source in
      let ring = UnsafeMutableRawBufferPointer(rebasing: memory[FlightRing.headerBytes...])
      UnsafeMutableRawBufferPointer(rebasing: ring[first...]).copyBytes(from: source[..<straight])
      ring.copyBytes(from: source[straight...])
    }
    end += UInt64(bytes.count)
    atomicMemoryFence(ordering: .releasing)
    put(end, at: FlightRing.endOffset)
  }

  private var oldestLength: UInt64 {
    (0..<4).reduce(0) { sum, index in
      let offset = Int((start + UInt64(index)) % UInt64(capacity))
      return sum + UInt64(memory[FlightRing.headerBytes + offset]) << UInt64(8 * index)
    }
  }

  private func put(_ value: UInt64, at offset: Int) {
    memory.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
  }

  private static func failure(_ what: String, _ path: String) -> NodeError {
    NodeError("cannot \(what) \(path): \(String(cString: strerror(errno)).lowercased())")
  }

  /// Of each role the newest stay, and all of processes that live: those of processes that died are
  /// what one wants to see.
  private static func removeOld(in folder: String, _ role: Role) {
    let files = Folders.names(in: folder).filter {
      $0.hasPrefix("\(role.rawValue)-") && $0.hasSuffix(".flight")
    }
    let dated = files.map { name in
      var status = stat()
      return (name: name, time: stat("\(folder)/\(name)", &status) == 0 ? status.st_mtim.tv_sec : 0)
    }
    for (name, _) in dated.sorted(by: { $0.time > $1.time }).dropFirst(mostFiles - 1) {
      let descriptor = Glibc.open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK {
        unlink("\(folder)/\(name)")
      }
      close(descriptor)
    }
  }
}
