import Messages

/// Why a message cannot be sent, or what came in is not one.
package enum WireError: Error, Hashable, Sendable {
  /// A multipart without a single part.
  case empty
  /// The header frame is larger than `Limits.headerBytes`.
  case headerTooLarge(bytes: Int)
  /// More raw frames than `Limits.frames`.
  case tooManyFrames(count: Int)
  /// A raw frame larger than `Limits.frameBytes`.
  case frameTooLarge(index: Int, bytes: Int)
  /// The header is no envelope, or wants more memory than a header may.
  case malformed(bytes: Int)
  /// A peer of another version of the wire contract.
  case version(found: UInt32)
  /// A required field or the body is not there; a body this program does not know reads the same.
  case missing(field: String)
  /// A field, named by its path in the message, holds what it must not.
  case invalid(field: String, found: String)
  /// The allocator gave no memory.
  case outOfMemory(bytes: Int)
}

extension WireError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .empty: "a message without a part"
    case .headerTooLarge(let bytes): "a header of \(bytes) bytes"
    case .tooManyFrames(let count): "a message of \(count) frames"
    case .frameTooLarge(let index, let bytes): "frame \(index) has \(bytes) bytes"
    case .malformed(let bytes): "a header of \(bytes) bytes that cannot be read"
    case .version(let found):
      "the peer speaks version \(found) of the protocol, this crosscut version"
        + " \(Limits.protocolVersion): all nodes of a run need the same version"
    case .missing(let field): "\(field) is missing"
    case .invalid(let field, let found): "\(field) is \(found)"
    case .outOfMemory(let bytes): "no memory for \(bytes) bytes"
    }
  }
}
