/// Text that is shown again and again in the same place on a terminal, and one after the other
/// where output is piped.
final class LiveScreen {
  private var lines = 0
  private let isTerminal = Console.isTerminal

  init() {}

  /// Shows a text in place of the last one.
  ///
  /// - Returns: false once nobody reads any more.
  func show(_ text: String) throws -> Bool {
    guard isTerminal else { return try Console.draw(text + "\n") }
    // Up to the first line of the last text, erase to the end of the screen, write anew.
    let back = lines > 0 ? "\u{1B}[\(lines)A" : ""
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
    return try Console.draw("\(back)\r\u{1B}[J\(text)")
  }

  /// Leaves the cursor below the last text.
  func close() { lines = 0 }
}
