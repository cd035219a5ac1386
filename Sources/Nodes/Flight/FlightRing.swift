import Glibc

/// The file of a flight recorder: a page of description and a ring of records, the oldest of which
/// make room for new ones.
///
/// | offset | holds |
/// |---|---|
/// | 0 | "CCFLIGHT", version, bytes of the ring |
/// | 24 | bytes written since the beginning: behind the newest record |
/// | 32 | the same at the beginning of the oldest record that is whole |
/// | 40 | what must be added to the records' times for microseconds since 1970 |
/// | 48 | process number |
/// | 64 | name, ended by a NUL: "worker 1" |
/// | 4096 | the ring |
///
/// Numbers are 64 bits, little-endian. A record may go on at the ring's beginning. The writer moves
/// the beginning first, then writes, then moves the end: whenever it is killed, what lies between
/// them is whole. Who reads while it writes looks at the beginning again afterwards: what has been
/// overwritten meanwhile lies before it.
package struct FlightRing: Sendable {
  static let magic = Array("CCFLIGHT".utf8)
  static let version: UInt64 = 1
  static let headerBytes = 4096
  static let endOffset = 24
  static let startOffset = 32
  static let nameOffset = 64
  static let nameBytes = 64
  /// Largest ring that is read.
  static let mostBytes = 1 << 30
  /// How often a file is read whose ring goes round faster than that.
  private static let tries = 100

  /// "worker 1"; a role alone if the process had not joined.
  package let name: String
  package let processID: UInt64
  /// Added to the records' times: microseconds since 1970.
  package let clockOffset: UInt64
  /// Oldest first.
  package let records: [FlightRecord]
  /// Whether older ones have been overwritten.
  package let isCut: Bool
  /// What is wrong with the file behind the records that were read.
  package let damage: String?

  /// Reads a file, whatever may be in it, as far as it is good.
  ///
  /// - Throws: `NodeError` if it is none, or nothing of it can be read.
  package init(path: String) throws(NodeError) {
    guard let (content, start) = FlightRing.contents(of: path) else {
      throw NodeError("\(path): \(String(cString: strerror(errno)).lowercased())")
    }
    func fail(_ why: String) -> NodeError { NodeError("\(path): \(why)") }
    guard content.count > Self.headerBytes, content.starts(with: Self.magic) else {
      throw fail("not a flight recorder's file")
    }
    func number(_ offset: Int) -> UInt64 { FlightRing.number(content[offset...]) }
    guard number(8) == Self.version else {
      throw fail("version \(number(8)) of a flight recorder's file, this reads \(Self.version)")
    }
    let capacity = content.count - Self.headerBytes
    guard number(16) == UInt64(capacity) else {
      throw fail("\(capacity) bytes of a ring of \(number(16))")
    }
    let end = number(Self.endOffset)
    guard start <= end, end - start <= UInt64(capacity) else {
      throw fail("records from \(start) to \(end) in a ring of \(capacity) bytes")
    }
    clockOffset = number(40)
    processID = number(48)
    name = String(
      decoding: content[Self.nameOffset..<Self.nameOffset + Self.nameBytes].prefix { $0 != 0 },
      as: UTF8.self)
    isCut = start > 0
    // Straightened out: what goes on at the beginning stands behind what it goes on from.
    let first = Int(start % UInt64(capacity)), count = Int(end - start)
    let ring = content[Self.headerBytes...]
    let line =
      Array(ring.dropFirst(first).prefix(count))
      + Array(ring.prefix(max(0, first + count - capacity)))
    var records: [FlightRecord] = []
    var position = 0
    var damage: String?
    while position < line.count {
      let left = line[position...]
      let length = left.prefix(4).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
      guard length >= FlightRecord.fixedBytes, length <= left.count,
        let record = FlightRecord(encoded: left.prefix(length)),
        // A clock that never goes back: what is to be played again counts on it.
        record.time >= records.last?.time ?? 0, record.time <= 1 << 53
      else {
        damage = "damaged behind \(records.count) records"
        break
      }
      records.append(record)
      position += length
    }
    self.records = records
    self.damage = damage
  }

  private init(_ ring: FlightRing, _ records: [FlightRecord]) {
    name = ring.name
    processID = ring.processID
    clockOffset = ring.clockOffset
    self.records = records
    isCut = ring.isCut || records.count < ring.records.count
    damage = ring.damage
  }

  /// What was noted from `time` on, microseconds since 1970.
  func since(_ time: UInt64) -> FlightRing {
    FlightRing(self, Array(records.drop { $0.time &+ clockOffset < time }))
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A file's bytes, and where its oldest record began once they had been read.
  private static func contents(of path: String) -> (bytes: [UInt8], start: UInt64)? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= mostBytes else {
      errno = EINVAL
      return nil
    }
    var found: (bytes: [UInt8], start: UInt64) = ([], 0)
    for _ in 0..<tries {
      found.bytes = bytes(of: descriptor, at: 0, count: Int(status.st_size))
      found.start = number(bytes(of: descriptor, at: startOffset, count: 8)[...])
      guard found.bytes.count > headerBytes else { break }
      // Otherwise nothing is left of what was read: the ring has gone round meanwhile.
      let (before, end) = (
        number(found.bytes[startOffset...]), number(found.bytes[endOffset...])
      )
      if before == found.start || found.start < end { break }
    }
    return found
  }

  private static func bytes(of descriptor: CInt, at offset: Int, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let read = bytes.withUnsafeMutableBytes {
        pread(
          descriptor, $0.baseAddress.unsafelyUnwrapped + done, count - done,
          off_t(offset + done))
      }
      if read < 0, errno == EINTR { continue }
      guard read > 0 else { break }
      done += read
    }
    return Array(bytes.prefix(done))
  }
}
