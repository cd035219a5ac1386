/// The secret that a client has to show: `Authorization: Bearer SECRET`.
///
/// Is never printed: not by `description`, not by an error.
package struct AccessToken: Sendable, CustomStringConvertible, CustomReflectable {
  private let secret: [UInt8]

  /// Shorter ones could be guessed.
  package static let leastLength = 16
  package static let mostLength = 4096

  /// Takes the text of a token's file, without the white space around it.
  ///
  /// - Throws: `ObservabilityError` if it is too short, too long or has other characters than
  ///   visible ASCII.
  package init(text: String) throws(ObservabilityError) {
    let kept = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
    secret = Array(String(kept).utf8)
    guard (Self.leastLength...Self.mostLength).contains(secret.count) else {
      throw ObservabilityError(
        "the token has \(secret.count) bytes, not \(Self.leastLength) to \(Self.mostLength): make "
          + "one with: openssl rand -hex 32")
    }
    guard secret.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw ObservabilityError("the token has blanks or characters that are not visible ASCII")
    }
  }

  /// Whether the header shows the secret. Takes as long for a wrong one as for the right one.
  func isShown(by authorization: String?) -> Bool {
    let words = (authorization ?? "").split(separator: " ", maxSplits: 1)
    guard words.count == 2, words[0].lowercased() == "bearer" else { return false }
    let shown = Array(words[1].utf8)
    var difference = shown.count ^ secret.count
    for (index, byte) in secret.enumerated() {
      difference |= Int(byte ^ (index < shown.count ? shown[index] : ~byte))
    }
    return difference == 0
  }

  package var description: String { "(secret)" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
