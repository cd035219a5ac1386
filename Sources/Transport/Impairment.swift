import Tensors

/// What a hub does to the messages that it sends, for a drill.
package enum Impairment: Hashable, Sendable {
  /// They leave later, in their order.
  case delay(milliseconds: Int)
  /// Of 100 messages so many are lost; each is decided for itself.
  case drop(percent: Int)
  /// Of 100 messages so many are cut short, so that the receiver cannot but refuse them.
  case corrupt(percent: Int)
}

/// A message that an impairment keeps back.
struct DelayedMessage {
  /// When it may leave, monotonic milliseconds.
  let due: Int
  let frames: [Frame]
  let link: Hub.Link
}

extension Hub {
  /// Impairs what is sent from now on, for a time; takes the place of an earlier impairment.
  package func impair(_ impairment: Impairment, milliseconds: Int) {
    checkThread()
    self.impairment = (impairment, MonotonicClock.milliseconds() + milliseconds)
    isImpairmentTold = false
  }

  /// How many messages impairments have hit so far, once when the last one is over.
  ///
  /// - Parameter ending: it is over with this hub.
  package func impairmentOver(ending: Bool = false) -> UInt64? {
    checkThread()
    guard !isImpairmentTold,
      ending || impairment.map({ MonotonicClock.milliseconds() >= $0.until }) ?? true
    else { return nil }
    isImpairmentTold = true
    return impairedMessages
  }

  /// What an impairment makes of a message.
  enum Impaired {
    case goes([Frame])
    /// It is lost or kept back.
    case stays
    /// Too much is kept back already.
    case refused
  }

  func impaired(_ frames: [Frame], to link: Link) -> Impaired {
    let now = MonotonicClock.milliseconds()
    if let until = impairment?.until, now >= until { impairment = nil }
    var frames = frames
    var latency = 0
    switch impairment?.effect {
    case .drop(let percent) where Self.coin(percent):
      impairedMessages += 1
      return .stays
    case .corrupt(let percent) where Self.coin(percent):
      impairedMessages += 1
      frames = Self.cut(frames)
    case .delay(let milliseconds): latency = milliseconds
    case .drop, .corrupt, nil: break
    }
    // Behind what is kept back already, so that the order stays.
    guard latency > 0 || !delayed.isEmpty else { return .goes(frames) }
    let bytes = frames.reduce(0) { $0 + $1.byteCount }
    guard delayedBytes + bytes <= options.queuedBytesPerLink else { return .refused }
    if latency > 0 { impairedMessages += 1 }
    delayedBytes += bytes
    delayed.append(
      DelayedMessage(due: max(now + latency, delayed.last?.due ?? 0), frames: frames, link: link))
    return .stays
  }

  /// Sends what has been kept back long enough.
  func sendDue() {
    guard let first = delayed.first, first.due <= MonotonicClock.milliseconds() else { return }
    let now = MonotonicClock.milliseconds()
    let count = delayed.firstIndex { $0.due > now } ?? delayed.count
    let due = delayed[..<count]
    delayed.removeFirst(count)
    for message in due {
      delayedBytes -= message.frames.reduce(0) { $0 + $1.byteCount }
      // Its link may be gone by now, as with any message under way.
      _ = dispatch(message.frames, to: message.link)
    }
  }

  private static func coin(_ percent: Int) -> Bool { Int.random(in: 1...100) <= percent }

  /// The message without the end of its last raw frame, or of its header if it has none.
  private static func cut(_ frames: [Frame]) -> [Frame] {
    guard let last = frames.last, last.byteCount > 0 else { return frames }
    let kept = frames.count == 1 ? last.byteCount / 2 : last.byteCount - 1
    return frames.dropLast() + [Frame(copying: Array(last.bytes.prefix(kept)))]
  }
}
