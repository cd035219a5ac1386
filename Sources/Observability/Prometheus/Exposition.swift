/// Measures in the text formats that Prometheus reads.
///
/// Prometheus' 0.0.4 and OpenMetrics 1.0.0 differ in what the family of a counter is called, in
/// units, and in the end mark.
enum Exposition {
  enum Format { case prometheus, openMetrics }

  enum Kind: String { case counter, gauge, info }

  /// One measure with its samples.
  struct Family {
    /// Of a counter or an information without `_total` and `_info`.
    let name: String
    let kind: Kind
    /// A word of the name's end: "seconds", "bytes"; empty without.
    var unit = ""
    let help: String
    var samples: [Sample]
  }

  struct Sample {
    var labels: [(name: String, value: String)] = []
    let value: Double
  }

  /// All families; those without samples are left out.
  static func render(_ families: [Family], format: Format) -> String {
    var text = ""
    for family in families where !family.samples.isEmpty {
      let sample = sampleName(family)
      let described = format == .openMetrics ? family.name : sample
      let kind = format == .prometheus && family.kind == .info ? "gauge" : family.kind.rawValue
      text += "# HELP \(described) \(escaped(family.help, quotes: format == .openMetrics))\n"
      text += "# TYPE \(described) \(kind)\n"
      if format == .openMetrics, !family.unit.isEmpty {
        text += "# UNIT \(described) \(family.unit)\n"
      }
      for one in family.samples {
        text += sample + labels(one.labels) + " " + number(one.value) + "\n"
      }
    }
    return format == .openMetrics ? text + "# EOF\n" : text
  }

  private static func sampleName(_ family: Family) -> String {
    switch family.kind {
    case .counter: family.name + "_total"
    case .info: family.name + "_info"
    case .gauge: family.name
    }
  }

  private static func labels(_ labels: [(name: String, value: String)]) -> String {
    guard !labels.isEmpty else { return "" }
    let pairs = labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }
    return "{\(pairs.joined(separator: ","))}"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var out = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(character)
      }
    }
    return out
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == value.rounded(), value.magnitude < 1e15 { return "\(Int64(value))" }
    return "\(value)"
  }
}
