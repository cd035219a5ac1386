import CLinux
import Glibc

/// The system's calls that bring files to the disk, and keep others from them: a drill or a test
/// plays a disk in their place.
///
/// As the calls do, they return -1 and set `errno` where they fail.
package struct FileCalls: Sendable {
  /// Takes room for a file of so many bytes, where the file system can do that in advance.
  package var reserve: @Sendable (CInt, Int) -> CInt = { crosscut_reserve($0, UInt64($1)) }
  /// Writes bytes at an offset, and returns how many. What has no offsets, as a pipe, takes them as
  /// they come.
  package var write: @Sendable (CInt, UnsafeRawPointer, Int, Int) -> Int = {
    let count = pwrite($0, $1, $2, off_t($3))
    return count < 0 && errno == ESPIPE ? Glibc.write($0, $1, $2) : count
  }
  /// Waits until the disk has a file, or a folder's names.
  package var sync: @Sendable (CInt) -> CInt = { fsync($0) }
  /// Gives a file or folder another name, in place of what has it.
  package var rename: @Sendable (String, String) -> CInt = { Glibc.rename($0, $1) }
  /// Exchanges two names in one step, where the file system can.
  package var exchange: @Sendable (String, String) -> CInt = { crosscut_exchange_names($0, $1) }

  /// Takes an exclusive lock of a file or folder; `errno` is `EWOULDBLOCK` where another process has
  /// one, and something else where the file system has none to give.
  package var lock: @Sendable (CInt) -> CInt = { crosscut_lock($0) }
  /// The same for a lock that many may have, without waiting.
  package var share: @Sendable (CInt) -> CInt = { flock($0, LOCK_SH | LOCK_NB) }

  /// The system's own.
  package init() {}

  /// The system's own, but for a disk that is to be taken for full as long as `isFull` says so.
  package static func full(when isFull: @escaping @Sendable () -> Bool) -> FileCalls {
    let system = FileCalls()
    var calls = system
    calls.reserve = { file, bytes in
      guard isFull() else { return system.reserve(file, bytes) }
      errno = ENOSPC
      return -1
    }
    calls.write = { file, start, count, offset in
      guard isFull() else { return system.write(file, start, count, offset) }
      errno = ENOSPC
      return -1
    }
    return calls
  }
}
