/// Numbers and texts as people read them.
package enum Format {
  /// `value` with a fixed number of decimals, rounded to nearest; "-" for none, "nan" and "inf" as
  /// they are.
  static func fixed(_ value: Double?, _ decimals: Int) -> String {
    guard let value else { return "-" }
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded()
    guard scaled < 1e15 else { return short(value) }
    let digits = String(UInt64(scaled))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + digits }
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  /// Three significant digits: 0.0312, 4.21, 1520. For rates and small constants.
  package static func significant(_ value: Double?) -> String {
    guard let value else { return "-" }
    guard value.isFinite, value != 0 else { return fixed(value, 0) }
    var decimals = 2
    var magnitude = value.magnitude
    while magnitude >= 10 && decimals > 0 {
      magnitude /= 10
      decimals -= 1
    }
    while magnitude < 1 && decimals < 12 {
      magnitude *= 10
      decimals += 1
    }
    let text = fixed(value, decimals)
    guard text.contains(".") else { return text }
    let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
    return String(trimmed.reversed())
  }

  /// A fraction as a percentage: "85.2 %".
  static func percent(_ fraction: Double?) -> String {
    fraction.map { fixed($0 * 100, 1) + " %" } ?? "-"
  }

  /// Bytes in powers of 1000: "999 B", "1.50 MB", "23.4 GB".
  static func bytes(_ count: UInt64) -> String {
    guard count >= 1000 else { return "\(count) B" }
    var value = Double(count) / 1000
    var unit = 0
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"]
    // 999.5 would be shown as 1000.
    while value >= 999.5 && unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\(fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) \(units[unit])"
  }

  /// A length of time in at most two units: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min", "3 d 04 h".
  package static func duration(_ seconds: Double?) -> String {
    guard let seconds else { return "-" }
    guard seconds.isFinite, seconds < 1e12 else { return "-" }
    if seconds > 0 && seconds < 0.05 { return "<0.1 s" }
    if seconds < 9.95 { return "\(fixed(max(0, seconds), 1)) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(twoDigits(whole % 60)) s" }
    let minutes = whole / 60
    if minutes < 24 * 60 { return "\(minutes / 60) h \(twoDigits(minutes % 60)) min" }
    return "\(minutes / 1440) d \(twoDigits(minutes / 60 % 24)) h"
  }

  /// A length of time given in milliseconds.
  static func duration(milliseconds: UInt64) -> String { duration(Double(milliseconds) / 1000) }

  /// At least two digits.
  static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

  /// "1 worker", "2 workers".
  static func plural(_ count: Int, _ noun: String) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
  }

  /// The text without control characters: what other machines say must not steer the terminal.
  static func printable(_ text: String) -> String { printable(text, except: []) }

  /// The same for texts of several lines: line ends and tabs stay.
  package static func printableLines(_ text: String) -> String {
    printable(text, except: ["\n", "\t"])
  }

  private static func printable(_ text: String, except kept: [Unicode.Scalar]) -> String {
    func isWrong(_ scalar: Unicode.Scalar) -> Bool { isControl(scalar) && !kept.contains(scalar) }
    // Nearly all texts are plain, and some are long.
    guard !text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
      text.unicodeScalars.contains(where: isWrong)
    else { return text }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { clean.append(isWrong(scalar) ? "?" : scalar) }
    return String(clean)
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x20...0x7E: return false
    case 0..<0x20: return true
    default: break
    }
    return switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }

  /// The text cut to `width` characters, an ellipsis being the last of a cut one.
  static func clipped(_ text: String, to width: Int) -> String {
    guard text.count > width else { return text }
    return width <= 0 ? "" : text.prefix(width - 1) + "…"
  }
}
