import Messages

/// Largest count, index or rank on the wire; sums and products of two of them fit an `Int`.
let largestNumber = Int(Int32.max)

/// Largest turn, count of bytes or time on the wire: adding one, or summing over a cluster,
/// overflows nothing, and a JSON number holds it exactly.
let largestCounter: UInt64 = 1 << 53

func check(
  _ value: Int, from lowest: Int, to highest: Int = largestNumber,
  _ field: @autoclosure () -> String
) throws(WireError) {
  guard value >= lowest && value <= highest else {
    throw .invalid(field: field(), found: "\(value), not in \(lowest)...\(highest)")
  }
}

func check(
  _ value: Int, from lowest: Int, to highest: Int = largestNumber, _ field: StaticString
) throws(WireError) {
  try check(value, from: lowest, to: highest, "\(field)" as String)
}

func check(_ count: UInt64, _ field: StaticString) throws(WireError) {
  guard count <= largestCounter else {
    throw .invalid(field: "\(field)", found: "\(count), above \(largestCounter)")
  }
}

func check(positive number: Double, _ field: StaticString) throws(WireError) {
  guard number.isFinite && number > 0 else {
    throw .invalid(field: "\(field)", found: "\(number), not a number above 0")
  }
}

func check(_ string: String, _ field: StaticString) throws(WireError) {
  guard string.utf8.count <= Limits.stringBytes else {
    throw .invalid(field: "\(field)", found: "\(string.utf8.count) bytes of text")
  }
  // C ends a string there: the rest would vanish on the way.
  guard !string.utf8.contains(0) else {
    throw .invalid(field: "\(field)", found: "text with a NUL")
  }
}
