import Glibc

/// Whole files and sorted folders.
enum Files {
  /// No photograph is larger, and a size beyond is no reason to take memory for it.
  private static let mostBytes = 1 << 30

  /// All bytes of a regular file; a named pipe, too, is refused at once.
  static func bytes(of path: String) throws(DatasetError) -> [UInt8] {
    let (descriptor, size) = try openRegular(path)
    defer { close(descriptor) }
    guard size <= mostBytes else {
      throw DatasetError(path, "\(size) bytes are too many for a picture")
    }
    return try read(descriptor, at: 0, count: size, path: path)
  }

  /// A regular file's bytes from its beginning to its end, some of them at a time: of any size.
  static func read(
    _ path: String, pieceBytes: Int, _ body: ([UInt8]) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    let (descriptor, size) = try openRegular(path)
    defer { close(descriptor) }
    for start in stride(from: 0, to: size, by: pieceBytes) {
      try body(
        try read(descriptor, at: start, count: min(pieceBytes, size - start), path: path))
    }
  }

  /// - Returns: a descriptor, which is the caller's to close, and the file's bytes.
  private static func openRegular(
    _ path: String
  ) throws(DatasetError) -> (descriptor: CInt, size: Int) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw cannotOpen(path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw DatasetError(path, "is not a regular file")
    }
    return (descriptor, Int(status.st_size))
  }

  /// `count` bytes at an offset, by `pread`: any thread may ask at any time.
  ///
  /// - Throws: `DatasetError` if they are not all there.
  static func read(
    _ descriptor: CInt, at offset: Int, count: Int, path: String
  ) throws(DatasetError) -> [UInt8] {
    var code: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
      while done < count {
        let got = pread(
          descriptor, buffer.baseAddress.unsafelyUnwrapped + done, count - done, offset + done)
        if got < 0, errno == EINTR { continue }
        if got < 0 { code = errno }
        if got <= 0 { return }
        done += got
      }
    }
    guard code == 0 else {
      throw DatasetError(
        path, "cannot be read: \(String(cString: strerror(code)))", isOfMachine: isOfMachine(code))
    }
    guard bytes.count == count else {
      throw DatasetError(path, "ends \(count - bytes.count) bytes early")
    }
    return bytes
  }

  /// Names in a folder without those that begin with a dot, in byte order: the same everywhere.
  static func names(in folder: String) throws(DatasetError) -> [String] {
    guard let handle = opendir(folder) else {
      throw DatasetError(folder, "cannot be listed: \(systemError())")
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Whether there is a folder of that path.
  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether there is anything of that path.
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Where something was not found: throws if that is because nobody may look into the folder.
  static func requireAccess(to folder: String) throws(DatasetError) {
    guard let handle = opendir(folder) else {
      guard errno == EACCES else { return }
      throw DatasetError(folder, "cannot be listed: \(systemError())")
    }
    closedir(handle)
    guard access(folder, X_OK) == 0 || errno != EACCES else {
      throw DatasetError(folder, "cannot be entered: \(systemError())")
    }
  }

  /// "folder/name", whether or not the folder ends with a slash.
  static func join(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
  }

  /// Why the last `open` failed.
  static func cannotOpen(_ path: String) -> DatasetError {
    let isOfMachine = isOfMachine(errno)
    return DatasetError(path, "cannot be opened: \(systemError())", isOfMachine: isOfMachine)
  }

  /// Whether a failure says nothing of the data: the disk or its mount fails, or something runs out.
  private static func isOfMachine(_ code: CInt) -> Bool {
    [
      EIO, ENXIO, ENODEV, ESTALE, EREMOTEIO, ETIMEDOUT, ENOTCONN, EHOSTDOWN, EMFILE, ENFILE, ENOMEM,
    ].contains(code)
  }

  /// What the last system call says of its failure.
  static func systemError() -> String { words(for: errno) }

  /// What the system says of a reason, by its number.
  static func words(for code: CInt) -> String {
    let words = String(cString: strerror(code))
    // A mount that belongs to somebody else: what a container most often meets.
    return code == EACCES ? "\(words): user \(getuid()) must be able to read it" : words
  }
}
