import CLinux
import Glibc
import Observability

/// Standard output and standard error, written so that neither a closed pipe nor a full disk goes
/// by as success or as a signal.
enum Console {
  /// Standard output cannot be written to; a reader that left (`| head`) is no error.
  struct WriteError: Error, CustomStringConvertible {
    let code: Int32
    var description: String {
      "cannot write to standard output: \(String(cString: strerror(code)).lowercased())"
    }
  }

  /// A reader that goes away must not kill a cluster, nor may a limit on the size of files, which a
  /// checkpoint may meet: EPIPE and EFBIG come back from `write` instead.
  static func ignoreBrokenPipes() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Writes to standard output, whoever may have said it: control characters, but for line ends and
  /// tabs, become "?", so that no other machine steers the terminal.
  ///
  /// - Returns: false once the reader has gone; a long-running command goes on without it.
  /// - Throws: `WriteError`.
  @discardableResult
  static func print(_ text: String) throws(WriteError) -> Bool {
    try draw(Format.printableLines(text))
  }

  /// Writes to standard output what may have colours and move the cursor: its maker lets in no control
  /// characters of others.
  ///
  /// - Returns: as `print`.
  /// - Throws: `WriteError`.
  @discardableResult
  static func draw(_ text: String) throws(WriteError) -> Bool {
    let code = write(text, to: STDOUT_FILENO)
    guard code == 0 || code == EPIPE else { throw WriteError(code: code) }
    return code == 0
  }

  /// Writes one line to standard error, without control characters as `print`; there is nowhere to
  /// report that this failed.
  static func printError(_ line: String) {
    _ = write(Format.printableLines(line) + "\n", to: STDERR_FILENO)
  }

  /// The last line of a process, which does not wait for a terminal that takes nothing.
  static func printLastError(_ line: String) {
    guard let output = try? OutputThread(STDERR_FILENO) else { return printError(line) }
    output.write(Format.printableLines(line) + "\n")
    output.finish()
  }

  /// Has whoever closed a standard descriptor keep it: the first file that is opened would get its
  /// number, and what is written there. Reading and writing fail as before.
  static func fillClosedDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Columns for help and tables: the terminal's up to 100, or 80 where output is piped.
  static var width: Int {
    let columns = Int(crosscut_terminal_columns(STDOUT_FILENO))
    return columns > 0 ? min(columns, 100) : 80
  }

  /// Columns of the terminal, or 80.
  static var terminalColumns: Int {
    let columns = Int(crosscut_terminal_columns(STDOUT_FILENO))
    return columns > 0 ? columns : 80
  }

  /// Whether standard output is a terminal.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether to use colours: on a terminal that has them, unless NO_COLOR is set (no-color.org).
  static var hasColor: Bool {
    guard isTerminal, getenv("NO_COLOR").map({ $0.pointee == 0 }) ?? true else { return false }
    return getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
  }

  /// Writes all of a text.
  ///
  /// - Returns: 0 or an errno.
  private static func write(_ text: String, to descriptor: Int32) -> Int32 {
    var text = text
    return text.withUTF8 { bytes in
      var offset = 0
      while offset < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        offset += count
      }
      return 0
    }
  }
}
