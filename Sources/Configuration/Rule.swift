/// What a value must satisfy beyond its type.
struct Rule<Value> {
  /// "must be above 0, not -1", or `nil` for a value that is fine.
  let violation: (Value) -> String?

  init(_ violation: @escaping (Value) -> String?) { self.violation = violation }
}

extension Rule where Value: Comparable {
  static func between(_ low: Value, _ high: Value) -> Rule {
    Rule { $0 >= low && $0 <= high ? nil : "must be between \(low) and \(high), not \($0)" }
  }

  static func atLeast(_ low: Value) -> Rule {
    Rule { $0 >= low ? nil : "must be at least \(low), not \($0)" }
  }

  static func above(_ low: Value) -> Rule {
    Rule { $0 > low ? nil : "must be above \(low), not \($0)" }
  }

  /// `low` included, `high` not.
  static func from(_ low: Value, below high: Value) -> Rule {
    Rule { $0 >= low && $0 < high ? nil : "must be at least \(low) and below \(high), not \($0)" }
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
