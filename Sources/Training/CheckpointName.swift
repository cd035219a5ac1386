/// The name of a checkpoint's directory, by which its step is known.
enum CheckpointName {
  private static let prefix = "step-"

  /// "step-00000500".
  static func ofStep(_ steps: UInt64) -> String {
    let digits = String(steps)
    return prefix + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// The steps of "step-00000500"; nil for any other name.
  static func steps(of name: String) -> UInt64? {
    guard name.hasPrefix(prefix), let steps = UInt64(name.dropFirst(prefix.count)),
      name == ofStep(steps)
    else { return nil }
    return steps
  }
}
