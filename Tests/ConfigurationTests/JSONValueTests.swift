import FoundationEssentials
import Testing

@testable import Configuration

@Suite struct JSONValueTests {
  @Test(arguments: [
    ("1", JSONValue.int(1)), ("-3", .int(-3)), ("0x10", .int(16)), ("+5", .int(5)),
    ("0.5", .double(0.5)), (".5", .double(0.5)), ("1e-4", .double(0.0001)), ("'a'", .string("a")),
    ("null", .null), ("[1, 'x', ]", .array([.int(1), .string("x")])),
    ("{ b: 1, a: [], /* c */ }", .object([.init("a", .array([])), .init("b", .int(1))])),
    ("'a // no comment'", .string("a // no comment")), ("\"\\u00e4\\n\"", .string("ä\n")),
    ("// first\n7 // last", .int(7)), ("{ $a_b: true }", .object([.init("$a_b", .bool(true))])),
  ])
  func `JSON5 is read`(text: String, expected: JSONValue) throws {
    #expect(try JSONValue(json5: text, source: "test") == expected)
  }

  @Test(arguments: [
    JSONValue.object([
      .init("quote\"\\\n\t\u{1}", .string("ä\u{1F600}\u{7f}")), .init("empty", .object([])),
      .init("list", .array(Array(repeating: .double(0.1), count: 60))), .init("none", .null),
    ])
  ])
  func `what is written is strict JSON of the same value`(value: JSONValue) throws {
    for text in [value.prettyText, value.lineText] {
      let back = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
      #expect(back["list"] == value["list"])
      #expect(back["quote\"\\\n\t\u{1}"] == value["quote\"\\\n\t\u{1}"])
    }
  }

  static let numbers: [Double] = [
    1e-30, 0.1, 1.0 / 3, 123_456_789.125, 1e300, -0.0005, .leastNonzeroMagnitude, 1e15, 2e15,
  ]

  @Test(arguments: numbers)
  func `a number reads back bit for bit`(value: Double) throws {
    let back = try JSONValue(json5: JSONValue.double(value).lineText, source: "test")
    #expect(try Double.read(back, at: .root) == value)
  }

  @Test(arguments: [0.1, 0.0001, 1.0 / 3, 16_777_216, 3.4e38, .leastNonzeroMagnitude] as [Float])
  func `a 32-bit number reads back bit for bit and in few digits`(value: Float) throws {
    let back = try JSONValue(json5: value.json.lineText, source: "test")
    #expect(try Float.read(back, at: .root) == value)
    #expect(value.json.lineText.count <= 12 || value > 1e15)
  }
}
