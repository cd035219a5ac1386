import CZeroMQ
import Glibc

/// A call of ZeroMQ or the system that failed: which, on what, and why.
package struct TransportError: Error, Hashable, Sendable {
  /// The C function.
  package let call: String
  /// Its `errno`.
  package let code: Int32
  /// The library's words for `code`, and what is known beyond them.
  package let text: String
  /// The endpoint or path it was called for, if any.
  package let endpoint: String?

  /// - Parameter text: instead of the library's words.
  package init(call: String, code: Int32, endpoint: String? = nil, text: String? = nil) {
    self.call = call
    self.code = code
    self.endpoint = endpoint
    self.text = text ?? Self.text(for: code)
  }

  /// The failure of `call` just now on this thread.
  static func last(_ call: String, endpoint: String? = nil) -> TransportError {
    TransportError(call: call, code: zmq_errno(), endpoint: endpoint)
  }

  /// The library's words, with what they mean for an endpoint where they say nothing of it.
  private static func text(for code: Int32) -> String {
    let words = zmq_strerror(code).map { String(cString: $0) } ?? "error \(code)"
    switch code {
    case EINVAL: return "\(words) (endpoints are tcp://host:port, ipc://path, inproc://name)"
    case ENODEV, EADDRNOTAVAIL: return "\(words) (no interface of this machine has that address)"
    case EADDRINUSE:
      return "\(words) (another program listens there: choose another port, or 0 for a free one)"
    case ENAMETOOLONG: return "\(words) (a socket's path has at most 107 bytes)"
    default: return words
    }
  }
}

extension TransportError: CustomStringConvertible {
  package var description: String {
    "\(call)\(endpoint.map { " \($0)" } ?? ""): \(text)"
  }
}

/// Calls again as long as a signal interrupts the call: the one place where EINTR is handled.
func retryingInterrupts(_ call: () -> Int32) -> Int32 {
  while true {
    let result = call()
    if result == -1 && zmq_errno() == EINTR { continue }
    return result
  }
}
