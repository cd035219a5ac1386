import Testing

@testable import crosscut

@Suite struct TextLayoutTests {
  @Test(arguments: [
    ("", 10, []), ("one", 10, ["one"]), ("one two three", 7, ["one two", "three"]),
    ("one two three", 8, ["one two", "three"]), ("incomprehensible", 5, ["incomprehensible"]),
    ("a  b\nc", 80, ["a b c"]), ("a incomprehensible b", 5, ["a", "incomprehensible", "b"]),
  ])
  func `text is broken at spaces`(text: String, width: Int, expected: [String]) {
    #expect(TextLayout.wrap(text, width: width) == expected)
  }

  @Test func `explanations stand in their column`() {
    var layout = TextLayout(width: 40)
    layout.list([
      ("short", "this explanation is longer than its line"),
      ("much-longer-than-the-column", "below"),
    ])
    #expect(
      layout.text == """
          short             this explanation is
                            longer than its line
          much-longer-than-the-column
                            below

        """)
  }
}
