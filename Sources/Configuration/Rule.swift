/// What a value must satisfy beyond its type.
struct Rule<Value> {
  /// "must be above 0, not -1", or `nil` for a value that is fine.
  let violation: (Value) -> String?

  init(_ violation: @escaping (Value) -> String?) { self.violation = violation }
}

extension Rule where Value: Comparable & ConfigurationValue {
  // Numbers are printed as JSON has them: 1, not 1.0.
  static func between(_ low: Value, _ high: Value) -> Rule {
    Rule {
      $0 >= low && $0 <= high
        ? nil
        : "must be between \(low.json.lineText) and \(high.json.lineText), not \($0.json.lineText)"
    }
  }

  static func atLeast(_ low: Value) -> Rule {
    Rule { $0 >= low ? nil : "must be at least \(low.json.lineText), not \($0.json.lineText)" }
  }

  static func above(_ low: Value) -> Rule {
    Rule { $0 > low ? nil : "must be above \(low.json.lineText), not \($0.json.lineText)" }
  }

  /// `low` included, `high` not.
  static func from(_ low: Value, below high: Value) -> Rule {
    Rule {
      $0 >= low && $0 < high
        ? nil
        : "must be at least \(low.json.lineText) and below \(high.json.lineText), not \($0.json.lineText)"
    }
  }
}

extension Rule {
  /// The rule for a value that is there; none for null.
  static func ifGiven<Wrapped>(_ rule: Rule<Wrapped>) -> Rule where Value == Wrapped? {
    Rule { $0.flatMap(rule.violation) }
  }

  /// The rule for each element of a list.
  static func each<Element>(_ rule: Rule<Element>) -> Rule where Value == [Element] {
    Rule { $0.lazy.compactMap(rule.violation).first }
  }
}
