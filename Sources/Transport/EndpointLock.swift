import Glibc

/// The right to listen on an ipc path, as a locked file beside it.
///
/// ZeroMQ removes whatever is at the path before it binds, a living server's socket too, which
/// then hears nothing any more. The lock goes with the process, however that ends.
struct EndpointLock: ~Copyable {
  private let descriptor: Int32
  private let path: String

  /// Takes the lock for `endpoint`; `nil` if it is no ipc path or the kernel guards it itself.
  ///
  /// - Throws: `TransportError` with `EADDRINUSE` while another process, or another hub of this
  ///   one, listens there.
  static func take(for endpoint: String) throws(TransportError) -> EndpointLock? {
    guard endpoint.hasPrefix("ipc://") else { return nil }
    let socketPath = endpoint.dropFirst("ipc://".count)
    // "*" is a path ZeroMQ makes up, "@..." a name in the abstract namespace.
    guard !socketPath.isEmpty, socketPath != "*", !socketPath.hasPrefix("@") else { return nil }
    return try EndpointLock(path: socketPath + ".lock", endpoint: endpoint)
  }

  private init(path: String, endpoint: String) throws(TransportError) {
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw .last("open", endpoint: path) }
      guard retryingInterrupts({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else {
        let code = errno
        let owner = Self.owner(descriptor)
        close(descriptor)
        guard code == EWOULDBLOCK else {
          throw TransportError(call: "flock", code: code, endpoint: path)
        }
        throw TransportError(
          call: "flock", code: EADDRINUSE, endpoint: endpoint,
          text: "Address already in use\(owner.map { " by process \($0)" } ?? "")")
      }
      // The last owner may have removed the file between our open and our lock: then what we
      // hold is a lock on nothing, and the next one to come would get another.
      var ours = stat()
      var there = stat()
      guard fstat(descriptor, &ours) == 0, stat(path, &there) == 0, ours.st_ino == there.st_ino
      else {
        close(descriptor)
        continue
      }
      let text = Array("\(getpid())\n".utf8)
      _ = ftruncate(descriptor, 0)
      _ = pwrite(descriptor, text, text.count, 0)
      self.descriptor = descriptor
      self.path = path
      return
    }
  }

  /// The process id in the lock file, for people only.
  private static func owner(_ descriptor: Int32) -> Int? {
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    return Int(String(decoding: bytes.prefix(count).prefix { $0 != 0x0a }, as: UTF8.self))
  }

  deinit {
    unlink(path)
    close(descriptor)
  }
}
