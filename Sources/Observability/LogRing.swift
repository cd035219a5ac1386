/// The newest lines of a log, for those who ask over the network: a bounded number of bytes.
struct LogRing: Sendable {
  /// Bytes that are kept, line feeds included.
  let capacity: Int
  /// Lines there have been; the newest has this number.
  private(set) var last: UInt64 = 0
  private var lines: [[UInt8]] = []
  /// Index of the oldest line that is kept: the front is cut off in one piece now and then.
  private var first = 0
  private var bytes = 0

  /// - Parameter capacity: more shows more of the past, and takes as much memory.
  init(capacity: Int) { self.capacity = capacity }

  /// Takes in a line without its line feed; one that is larger than all is counted only.
  mutating func append(_ line: [UInt8]) {
    last += 1
    lines.append(line.count < capacity ? line : [])
    bytes += lines[lines.count - 1].count + 1
    while bytes > capacity {
      bytes -= lines[first].count + 1
      lines[first] = []
      first += 1
    }
    if first > 256, first > lines.count / 2 {
      lines.removeFirst(first)
      first = 0
    }
  }

  /// The lines after number `after` that are still kept, each with its line feed.
  func lines(after number: UInt64) -> [UInt8] {
    let new = Int(clamping: last - min(number, last))
    var text: [UInt8] = []
    for line in lines[max(first, lines.count - min(new, lines.count))...] where !line.isEmpty {
      text += line
      text.append(0x0A)
    }
    return text
  }
}
