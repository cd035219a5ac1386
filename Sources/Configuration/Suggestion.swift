/// "Did you mean": the word of a vocabulary that is nearest to a mistyped one.
package enum Suggestion {
  /// Number of single-character insertions, deletions, substitutions and swaps of neighbours that
  /// turn one word into the other (optimal string alignment). Cost: O(product of the lengths).
  package static func distance(_ first: String, _ second: String) -> Int {
    let a = Array(first.unicodeScalars)
    let b = Array(second.unicodeScalars)
    var twoAbove = [Int](repeating: 0, count: b.count + 1)
    var above = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in 0..<b.count {
        var best = min(row[j] + 1, above[j + 1] + 1, above[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
          best = min(best, twoAbove[j - 1] + 1)
        }
        row.append(best)
      }
      twoAbove = above
      above = row
    }
    return above[b.count]
  }

  /// The nearest word, or `nil` when none is near enough to be what was meant.
  ///
  /// Case, `-` and `_` do not count, so `learning_rate` finds `learningRate`; beyond that a third
  /// of the word may differ. Of equally near words the first one wins.
  package static func nearest(to word: String, in vocabulary: [String]) -> String? {
    let folded = fold(word)
    guard !folded.isEmpty else { return nil }
    var best: (word: String, distance: Int)?
    for candidate in vocabulary {
      let target = fold(candidate)
      let distance = distance(folded, target)
      guard distance <= max(1, max(folded.count, target.count) / 3), distance < target.count
      else { continue }
      if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.word
  }

  private static func fold(_ word: String) -> String {
    word.lowercased().filter { $0 != "-" && $0 != "_" }
  }
}
