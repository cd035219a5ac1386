import Nodes

/// Four digits behind a token's text by which a copy that lacks something is noticed: without its last
/// character it would still be one, for another port.
enum TokenSeal {
  private static let mark: Character = "#"

  /// The token as it is printed.
  static func seal(_ token: String) -> String { "\(token)\(mark)\(digits(token))" }

  /// The token that was sealed; spaces and line ends around it do not matter.
  ///
  /// - Throws: `NodeError` that does not quote it.
  static func open(_ text: String) throws(NodeError) -> JoinToken {
    let words = text.split(whereSeparator: \.isWhitespace)
    guard words.count == 1, let word = words.first, let end = word.lastIndex(of: mark) else {
      // Says what a token looks like.
      _ = try JoinToken(text: text)
      throw NodeError(notWhole)
    }
    let token = String(word[..<end])
    guard word[word.index(after: end)...] == digits(token) else { throw NodeError(notWhole) }
    return try JoinToken(text: token)
  }

  private static let notWhole =
    "this is not all of a token, or not as it was printed (or by an earlier version): copy the whole line of"
    + " crosscut token"

  private static func digits(_ text: String) -> String {
    // Of polynomials of degree 16 the usual one: any two swapped or any few lost characters show.
    var sum: UInt16 = 0xFFFF
    for byte in text.utf8 {
      sum ^= UInt16(byte) << 8
      for _ in 0..<8 { sum = sum & 0x8000 != 0 ? sum << 1 ^ 0x1021 : sum << 1 }
    }
    let digits = String(sum, radix: 16)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }
}
