/// Reads the JSON of a safetensors header, and nothing else.
///
/// A general JSON decoder would let duplicate names pass in silence, the later hiding the earlier;
/// the header's grammar is fixed and not recursive, so hostile nesting cannot exhaust the stack.
struct SafeTensorsParser {
  /// Why the header is refused, with the byte of the header.
  struct Failure: Error {
    let reason: String
  }

  private let bytes: [UInt8]
  private var position = 0

  /// Parses a whole header; spaces may follow the object.
  static func header(_ bytes: [UInt8]) throws(Failure) -> SafeTensorsHeader {
    var parser = SafeTensorsParser(bytes: bytes)
    guard bytes.first == UInt8(ascii: "{") else {
      throw Failure(reason: "the header does not start with {")
    }
    var header = SafeTensorsHeader()
    var hasMetadata = false
    try parser.object { (parser, name) throws(Failure) in
      if name == SafeTensorsHeader.metadataKey {
        guard !hasMetadata else { throw parser.failure("duplicate \(name)") }
        hasMetadata = true
        header.metadata = try parser.strings()
      } else {
        guard header.tensors[name] == nil else {
          throw parser.failure("duplicate tensor \(name)")
        }
        header.tensors[name] = try parser.tensor(name)
      }
    }
    guard parser.next() == nil else { throw parser.failure("something follows the object") }
    return header
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private func failure(_ reason: String) -> Failure {
    Failure(reason: "\(reason) at byte \(position) of the header")
  }

  /// The next byte that is not white space; nil at the end.
  private mutating func next() -> UInt8? {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
      position += 1
    }
    return position < bytes.count ? bytes[position] : nil
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Failure) {
    guard next() == UInt8(ascii: character) else { throw failure("expected \(character)") }
    position += 1
  }

  private mutating func takes(_ character: Unicode.Scalar) -> Bool {
    guard next() == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  /// `{ "key": <body reads the value>, ... }`
  private mutating func object(
    _ body: (inout SafeTensorsParser, String) throws(Failure) -> Void
  ) throws(Failure) {
    try expect("{")
    if takes("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try body(&self, key)
    } while takes(",")
    try expect("}")
  }

  private mutating func strings() throws(Failure) -> [String: String] {
    var result: [String: String] = [:]
    try object { (parser, key) throws(Failure) in
      guard result[key] == nil else { throw parser.failure("duplicate metadata \(key)") }
      result[key] = try parser.string()
    }
    return result
  }

  private mutating func tensor(_ name: String) throws(Failure) -> SafeTensorsHeader.Tensor {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try object { (parser, key) throws(Failure) in
      switch key {
      case "dtype" where dtype == nil: dtype = try parser.string()
      case "shape" where shape == nil: shape = try parser.integers()
      case "data_offsets" where offsets == nil: offsets = try parser.integers()
      default: throw parser.failure("tensor \(name): unknown or duplicate field \(key)")
      }
    }
    guard let dtype, let shape, let offsets else {
      throw failure("tensor \(name): dtype, shape or data_offsets is missing")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw failure("tensor \(name): data_offsets \(offsets)")
    }
    return SafeTensorsHeader.Tensor(dtype: dtype, shape: shape, bytes: offsets[0]..<offsets[1])
  }

  private mutating func integers() throws(Failure) -> [Int] {
    try expect("[")
    if takes("]") { return [] }
    var result: [Int] = []
    repeat { result.append(try integer()) } while takes(",")
    try expect("]")
    return result
  }

  /// A non-negative integer without sign, fraction or exponent.
  private mutating func integer() throws(Failure) -> Int {
    _ = next()
    let start = position
    while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position])
    {
      position += 1
    }
    let digits = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let value = Int(digits), digits.count == 1 || !digits.hasPrefix("0") else {
      throw failure("expected a non-negative integer")
    }
    return value
  }

  private mutating func string() throws(Failure) -> String {
    try expect("\"")
    var content: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else {
          throw failure("a string that is not UTF-8")
        }
        return text
      case UInt8(ascii: "\\"): content += Array(String(try escape()).utf8)
      case 0..<0x20: throw failure("a control character in a string")
      default: content.append(byte)
      }
    }
    throw failure("a string without an end")
  }

  private mutating func escape() throws(Failure) -> Unicode.Scalar {
    guard position < bytes.count else { throw failure("a string without an end") }
    position += 1
    switch Unicode.Scalar(bytes[position - 1]) {
    case "\"": return "\""
    case "\\": return "\\"
    case "/": return "/"
    case "b": return "\u{8}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let first = try codeUnit()
      if let scalar = Unicode.Scalar(first) { return scalar }
      // A surrogate: its other half follows.
      guard position + 2 <= bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      else { throw failure("half a surrogate pair") }
      position += 2
      let pair = String(decoding: [first, try codeUnit()], as: UTF16.self).unicodeScalars
      guard pair.count == 1, let scalar = pair.first, scalar.value > 0xFFFF else {
        throw failure("half a surrogate pair")
      }
      return scalar
    default: throw failure("an unknown escape in a string")
    }
  }

  /// Four hexadecimal digits.
  private mutating func codeUnit() throws(Failure) -> UInt16 {
    guard position + 4 <= bytes.count else { throw failure("a string without an end") }
    var value: UInt16 = 0
    for byte in bytes[position..<(position + 4)] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw failure("a bad \\u escape")
      }
      value = value << 4 | UInt16(digit)
    }
    position += 4
    return value
  }
}
