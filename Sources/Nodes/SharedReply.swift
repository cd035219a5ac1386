import Coordination
import Tensors

/// An answer that is made once for all who ask at about the same time.
struct SharedReply {
  /// For so long one is as good as another, microseconds.
  static let age: Microseconds = 20_000

  private var newest: (frames: [Frame], at: Microseconds)?

  /// The answer, made anew if the last one is too old.
  mutating func frames(_ now: Microseconds, _ make: () -> [Frame]) -> [Frame] {
    if let newest, now - min(now, newest.at) < Self.age { return newest.frames }
    let frames = make()
    newest = (frames, now)
    return frames
  }
}
