import Tensors
import Transport

/// What is sent back of others' probes: whoever does not read it must not fill the memory by it.
struct EchoBook {
  /// Bytes over a connection as long as it lasts: more than `Probe` sends.
  static let mostBytesPerLink = 32 << 20
  /// Over all connections that are there. What ZeroMQ still has of it is not known, so all counts.
  static let mostBytes = 128 << 20
  /// What is smaller is always sent back, one at a time.
  private static let small = 256

  private var bytes: [Hub.Link: Int] = [:]
  private var total = 0

  /// Whether a probe is to be sent back.
  ///
  /// - Parameter queued: bytes that wait for its sender.
  mutating func takes(_ parts: [Frame], from link: Hub.Link, queued: Int) -> Bool {
    guard queued == 0, parts.count <= 2 else { return false }
    let size = parts.reduce(0) { $0 + $1.bytes.count }
    guard size > Self.small else { return true }
    let sent = bytes[link] ?? 0
    guard sent + size <= Self.mostBytesPerLink, total + size <= Self.mostBytes else { return false }
    bytes[link] = sent + size
    total += size
    return true
  }

  /// Forgets a connection that is closed.
  mutating func forget(_ link: Hub.Link) { total -= bytes.removeValue(forKey: link) ?? 0 }
}
