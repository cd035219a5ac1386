/// A worker's part of the first pictures of the evaluation set, small, for people to look at.
///
/// Frames: `[rows]` labels, 32-bit; `[rows, height, width, channels]` bytes; and, where the classes
/// have names, a name a line.
package struct Pictures: Hashable, Sendable {
  /// Index in the evaluation set of the first one.
  package var firstRow: Int
  package var rows: Int
  /// 1 or 3.
  package var channels: Int
  package var height: Int
  package var width: Int

  package init(firstRow: Int, rows: Int, channels: Int, height: Int, width: Int) {
    self.firstRow = firstRow
    self.rows = rows
    self.channels = channels
    self.height = height
    self.width = width
  }

  /// Bytes of one.
  package var bytes: Int { channels * height * width }
}

/// What an FC node's slice holds likeliest for the first pictures of the evaluation set.
///
/// Frames: `[rows, classes]` classes, 32-bit, the likeliest first; `[rows, classes]` probabilities.
package struct Guesses: Hashable, Sendable {
  /// Steps that the parameters have seen.
  package var step: UInt64
  package var rows: Int
  package var classes: Int

  package init(step: UInt64, rows: Int, classes: Int) {
    self.step = step
    self.rows = rows
    self.classes = classes
  }
}
