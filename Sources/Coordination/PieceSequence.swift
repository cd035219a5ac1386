import Messages

/// The pieces of one transfer of slices from one sender, as they come in.
///
/// A connection keeps their order but may lose some and repeat others, so a piece counts only right
/// after the one before it: parameters with a hole must never be taken for whole ones.
struct PieceSequence: Hashable, Sendable {
  enum Verdict {
    /// The next one: it counts.
    case next
    /// It has come before, or one before it is known to be lost.
    case useless
    /// The first one after a loss: nothing of this transfer will count any more.
    case gap
  }

  private var expected = 0
  private var isBroken = false
  /// Whether all pieces have come.
  private(set) var isComplete = false

  mutating func take(_ slice: Slice) -> Verdict {
    guard !isBroken, !isComplete, slice.number >= expected else { return .useless }
    guard slice.number == expected else {
      isBroken = true
      return .gap
    }
    expected += 1
    isComplete = slice.isLast
    return .next
  }
}
