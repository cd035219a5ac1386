import Testing

@testable import Configuration

@Suite struct SuggestionTests {
  @Test(arguments: [
    ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "acb", 1),
    ("flaw", "lawn", 2), ("same", "same", 0), ("momentun", "momentum", 1), ("ca", "abc", 3),
  ])
  func `the distance counts insertions, deletions, substitutions and swaps`(
    first: String, second: String, expected: Int
  ) {
    #expect(Suggestion.distance(first, second) == expected)
    #expect(Suggestion.distance(second, first) == expected)
  }

  @Test(arguments: [
    ("lerningRate", "learningRate"), ("learning_rate", "learningRate"),
    ("LEARNING-RATE", "learningRate"), ("momentun", "momentum"), ("epoch", "epochs"),
  ])
  func `a slip finds its word`(word: String, expected: String) {
    let words = ["epochs", "learningRate", "momentum"]
    #expect(Suggestion.nearest(to: word, in: words) == expected)
  }

  @Test(arguments: ["", "zebra", "x", "rate"])
  func `what is near to nothing gets no suggestion`(word: String) {
    #expect(Suggestion.nearest(to: word, in: ["epochs", "learningRate", "momentum"]) == nil)
  }
}
