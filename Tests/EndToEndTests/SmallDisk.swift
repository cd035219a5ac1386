import Foundation

/// A file system in memory, of a few MiB, that a test can really fill. To mount one takes root.
final class SmallDisk {
  private let path: String

  /// Whether this process may mount one at all.
  static let isPossible: Bool = {
    guard let scratch = try? Scratch() else { return false }
    return (try? SmallDisk(at: scratch.path, kibibytes: 64)) != nil
  }()

  init(at path: String, kibibytes: Int) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard mount("tmpfs", path, "tmpfs", 0, "size=\(kibibytes)k") == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EPERM)
    }
  }

  // At once, whoever still has a file open there.
  deinit { umount2(path, Int32(MNT_DETACH)) }

  private var filler: String { path + "/filler" }

  /// Takes the room that is left, down to the last page.
  func fill() {
    let descriptor = open(filler, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    defer { close(descriptor) }
    let bytes = [UInt8](repeating: 0, count: 1 << 16)
    while write(descriptor, bytes, bytes.count) > 0 {}
  }

  func makeRoom() { unlink(filler) }
}
