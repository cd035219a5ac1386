import Tensors

/// Messages for one peer that ZeroMQ would not take yet, oldest first, bounded in bytes.
struct SendQueue {
  private var messages: [[Frame]] = []
  /// Index of the oldest message; those before it are gone.
  private var head = 0
  /// Bytes of the messages that wait.
  private(set) var byteCount = 0

  var isEmpty: Bool { head == messages.count }

  /// Messages that wait.
  var count: Int { messages.count - head }

  /// The oldest message.
  var first: [Frame]? { isEmpty ? nil : messages[head] }

  /// Puts a message last, if the queue then holds at most `bound` bytes.
  mutating func append(_ frames: [Frame], bound: Int) -> Bool {
    let added = frames.reduce(0) { $0 + $1.byteCount }
    guard byteCount + added <= bound else { return false }
    messages.append(frames)
    byteCount += added
    return true
  }

  /// Drops the oldest message, which has been sent.
  mutating func removeFirst() {
    byteCount -= messages[head].reduce(0) { $0 + $1.byteCount }
    messages[head] = []
    head += 1
    if head == messages.count {
      messages.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1024 {
      messages.removeFirst(head)
      head = 0
    }
  }
}
