@preconcurrency import Glibc

/// Ends the program with a message on standard error.
func fail(_ message: String) -> Never {
  let line = message + "\n"
  _ = line.withCString { write(2, $0, strlen($0)) }
  exit(1)
}

/// What went wrong with a measurement.
struct BenchmarkError: Error, CustomStringConvertible {
  let description: String
}

/// `--name value` options with defaults.
struct Options {
  private let values: [String: String]

  /// - Parameter defaults: every option there is; the empty string for "not given".
  init(_ arguments: [String], defaults: [String: String]) throws(BenchmarkError) {
    var values = defaults
    var position = 0
    while position < arguments.count {
      let name = arguments[position]
      guard name.hasPrefix("--"), defaults[String(name.dropFirst(2))] != nil,
        position + 1 < arguments.count
      else {
        let known = defaults.keys.sorted().map { "--\($0)" }.joined(separator: ", ")
        throw BenchmarkError(description: "\(name): expected an option and its value: \(known)")
      }
      values[String(name.dropFirst(2))] = arguments[position + 1]
      position += 2
    }
    self.values = values
  }

  subscript(_ name: String) -> String { values[name] ?? "" }

  /// A whole number of at least 1.
  func count(_ name: String) throws(BenchmarkError) -> Int {
    guard let count = Int(self[name]), count >= 1 else {
      throw BenchmarkError(description: "--\(name) \(self[name]): expected a count")
    }
    return count
  }
}

/// Times of one contender, in milliseconds.
struct Times {
  let name: String
  var milliseconds: [Double] = []

  var best: Double { milliseconds.min() ?? .nan }
  var median: Double { milliseconds.median }

  /// "direct   512.3 ms median, 500.1 best".
  var line: String {
    "\(name.padded(24)) \(median.text) ms median, \(best.text) ms best (\(milliseconds.count) rounds)"
  }

  /// Runs `body` `steps` times and notes the milliseconds of one.
  mutating func measure(steps: Int, _ body: () -> Void) {
    let clock = ContinuousClock()
    let elapsed = clock.measure { for _ in 0..<steps { body() } }
    let (seconds, attoseconds) = elapsed.components
    milliseconds.append((Double(seconds) * 1e3 + Double(attoseconds) / 1e15) / Double(steps))
  }
}

extension [Double] {
  /// Of an even number of values the middle of the two middle ones; not a number if there are none.
  var median: Double {
    let sorted = sorted()
    guard !sorted.isEmpty else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}

extension String {
  func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}

extension Double {
  /// Two decimals.
  var text: String {
    let hundredths = Int((self * 100).rounded())
    let fraction = abs(hundredths % 100)
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
  }
}

/// Another program that answers line by line: it is measured between our own rounds, so that both
/// see the same machine.
final class Peer {
  private let process: pid_t
  private let toPeer: UnsafeMutablePointer<FILE>
  private let fromPeer: UnsafeMutablePointer<FILE>

  init(_ command: [String]) throws(BenchmarkError) {
    var requests: [Int32] = [0, 0]
    var answers: [Int32] = [0, 0]
    guard pipe(&requests) == 0, pipe(&answers) == 0 else {
      throw BenchmarkError(description: "pipe: \(String(cString: strerror(errno)))")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, requests[0], 0)
    posix_spawn_file_actions_adddup2(&actions, answers[1], 1)
    for descriptor in requests + answers {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    defer { posix_spawn_file_actions_destroy(&actions) }
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let status = posix_spawnp(&process, command[0], &actions, nil, &arguments, environ)
    close(requests[0])
    close(answers[1])
    guard status == 0, let toPeer = fdopen(requests[1], "w"), let fromPeer = fdopen(answers[0], "r")
    else {
      throw BenchmarkError(description: "\(command[0]): \(String(cString: strerror(status)))")
    }
    self.process = process
    self.toPeer = toPeer
    self.fromPeer = fromPeer
  }

  /// Closing its input ends the peer.
  deinit {
    fclose(toPeer)
    fclose(fromPeer)
    waitpid(process, nil, 0)
  }

  /// Asks for a line.
  func ask() throws(BenchmarkError) -> String {
    fputs("\n", toPeer)
    fflush(toPeer)
    return try readLine()
  }

  func readLine() throws(BenchmarkError) -> String {
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    guard getline(&line, &capacity, fromPeer) > 0, let line else {
      throw BenchmarkError(description: "the peer ended without an answer")
    }
    return String(cString: line)
  }
}
