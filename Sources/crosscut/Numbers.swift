import Observability

/// Numbers as the commands' tables show them.
enum Numbers {
  /// With a fixed number of decimals; "nan" and "inf" as they are.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, value.magnitude < 1e12 else { return Format.short(value) }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let digits = "\(Int((value.magnitude * scale).rounded()))"
    let sign = value < 0 ? "-" : ""
    guard decimals > 0 else { return sign + digits }
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  /// Two digits and a power of ten: "3.1e-07"; "0" and "inf" as they are.
  static func scientific(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
    var exponent = 0
    var mantissa = value.magnitude
    while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    let digits = "\(exponent.magnitude)"
    let power = (exponent < 0 ? "-" : "+") + (digits.count < 2 ? "0" : "") + digits
    return "\(value < 0 ? "-" : "")\(fixed(mantissa, 1))e\(power)"
  }
}
