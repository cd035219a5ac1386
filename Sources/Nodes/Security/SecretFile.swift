import DurableFiles
import Glibc

/// Small files that only their owner may read.
enum SecretFile {
  /// Larger than any key file or list here.
  static let mostBytes = 4 * 1024 * 1024

  /// The text of a file that others than its owner and group cannot read.
  ///
  /// - Throws: `NodeError` that names the file.
  static func read(
    _ path: String, everybodyReads note: ((String) -> Void)? = nil
  ) throws(NodeError) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw NodeError("cannot read \(path): \(reason())") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw NodeError("cannot read \(path): it is no file")
    }
    if let note, status.st_mode & (S_IROTH | S_IWOTH) == S_IROTH {
      note("\(path) can be read by everybody on this machine")
    } else if status.st_mode & (S_IROTH | S_IWOTH) != 0 {
      throw NodeError("\(path) can be read or written by everybody: chmod 600 \(path)")
    }
    guard status.st_size <= mostBytes else {
      throw NodeError("\(path) is too large for a key file")
    }
    return try readAll(descriptor, path)
  }

  /// Refuses a file that decides who is let in, if others than root and this process's user could put
  /// another in its place. Root takes those of any user: it may be the server's.
  ///
  /// A group that may write is trusted: Kubernetes gives it that right wherever it mounts a volume.
  ///
  /// - Throws: `NodeError` that names the file or its folder.
  static func checkOwner(of path: String) throws(NodeError) {
    for name in [path, Folders.parent(of: path)] {
      var status = stat()
      guard stat(name, &status) == 0 else { throw NodeError("cannot read \(name): \(reason())") }
      if let objection = objection(
        to: name, owner: status.st_uid, mode: status.st_mode, user: geteuid())
      {
        throw NodeError(objection)
      }
    }
  }

  static func objection(to name: String, owner: uid_t, mode: mode_t, user: uid_t) -> String? {
    guard user == 0 || owner == 0 || owner == user else {
      return "\(name) belongs to another user (\(owner)), who could let in anybody: chown it"
    }
    // In a sticky folder, such as /tmp, everybody may put but his own.
    guard mode & S_IWOTH == 0 || (mode & S_IFMT == S_IFDIR && mode & S_ISVTX != 0) else {
      return "\(name) can be written by everybody, who could let in anybody: chmod o-w \(name)"
    }
    return nil
  }

  /// Everything up to the end of a descriptor.
  static func readAll(_ descriptor: Int32, _ path: String) throws(NodeError) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw NodeError("cannot read \(path): \(reason())") }
      guard count > 0 else { break }
      bytes += buffer[0..<count]
      guard bytes.count <= mostBytes else { throw NodeError("\(path) is too large") }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Writes a file beside and renames it, readable for its owner alone; what it replaces leaves it
  /// its owner, group and permissions.
  ///
  /// - Parameter replacing: whether a file of that name may be there.
  /// - Throws: `NodeError` that names the file.
  static func write(_ path: String, _ text: String, replacing: Bool) throws(NodeError) {
    let beside = "\(path).\(getpid()).new"
    // A process of this number that was killed while it wrote; in a container all have the number 1.
    unlink(beside)
    do throws(FileFailure) {
      let file = try AtomicFile(path, beside: beside, .new, permissions: 0o600)
      // A list that root adds to is still to be read by the server, which runs as somebody else.
      if replacing { file.takeRights() }
      try file.append(Array(text.utf8))
      try file.place(replacing: replacing)
    } catch {
      throw NodeError("cannot write \(path): \(error.words)")
    }
  }

  static func reason() -> String { String(cString: strerror(errno)) }
}
