/// What this program calls itself.
package enum Version {
  package static let text = "0.1.0"

  /// A run's number as people see it: 16 hexadecimal digits.
  package static func runName(_ run: UInt64) -> String {
    let digits = String(run, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
