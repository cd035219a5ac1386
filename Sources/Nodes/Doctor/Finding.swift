/// One thing that `crosscut doctor` has looked at.
package struct Finding: Hashable, Sendable {
  /// How it stands.
  package enum State: String, Sendable {
    case good
    /// It works, but slower or less safely than it could.
    case warning
    /// A node will not work like this.
    case bad
  }

  /// What was looked at: "cores".
  package let name: String
  package let state: State
  /// What was found.
  package let text: String
  /// What to do about it; empty if it is good.
  package let advice: String

  package init(_ name: String, _ state: State, _ text: String, advice: String = "") {
    self.name = name
    self.state = state
    self.text = text
    self.advice = advice
  }
}
