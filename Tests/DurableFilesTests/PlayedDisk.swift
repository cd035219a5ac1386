import DurableFiles
import Foundation
import Synchronization

/// A folder that goes with the test.
final class Scratch {
  let url = FileManager.default.temporaryDirectory
    .appendingPathComponent("crosscut-\(UUID().uuidString)")

  init() throws {
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  func text(_ name: String) -> String? { try? String(contentsOfFile: path(name), encoding: .utf8) }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
  }
}

/// Notes the calls for files and folders in their order, and fails one of them.
final class PlayedDisk: Sendable {
  private let noted = Mutex<[String]>([])
  private let failing: Int
  private let code: CInt

  /// - Parameters:
  ///   - failing: the call's number, from 0 on; none if it is negative.
  ///   - code: why.
  init(failing: Int = -1, code: CInt = EIO) {
    self.failing = failing
    self.code = code
  }

  var calls: [String] { noted.withLock { $0 } }
  var hasFailed: Bool { failing >= 0 && calls.count > failing }

  /// - Returns: whether the call is the one that fails.
  private func note(_ call: String) -> Bool {
    let number = noted.withLock {
      $0.append(call)
      return $0.count - 1
    }
    guard number == failing else { return false }
    errno = code
    return true
  }

  var system: FileCalls {
    let system = FileCalls()
    var calls = system
    calls.reserve = { [self] in note("reserve") ? -1 : system.reserve($0, $1) }
    calls.write = { [self] in note("write") ? -1 : system.write($0, $1, $2, $3) }
    calls.sync = { [self] file in
      var status = stat()
      fstat(file, &status)
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      return note(isFolder ? "sync folder" : "sync file") ? -1 : system.sync(file)
    }
    calls.rename = { [self] in note("rename") ? -1 : system.rename($0, $1) }
    calls.exchange = { [self] in note("exchange") ? -1 : system.exchange($0, $1) }
    return calls
  }
}
