extension Format {
  /// Four digits and a power of ten at most, for numbers beyond all measure: "1.721e+36".
  package static func short(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return "\(value)" }
    var exponent = 0
    var mantissa = value.magnitude
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    var digits = Int((mantissa * 1000).rounded())
    // 9.9996
    if digits == 10_000 { (digits, exponent) = (1000, exponent + 1) }
    let tail = "\(digits)".dropFirst().reversed().drop { $0 == "0" }.reversed()
    return (value < 0 ? "-" : "") + "\(digits / 1000)" + (tail.isEmpty ? "" : ".\(String(tail))")
      + "e\(exponent < 0 ? "-" : "+")\(exponent.magnitude)"
  }
}
