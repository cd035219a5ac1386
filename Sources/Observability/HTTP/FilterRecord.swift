import FoundationEssentials

/// The first layer's filters as JSON: the floats in base64, little-endian.
struct FilterRecord: Codable, Hashable, Sendable {
  var layer: String
  var step: UInt64
  /// `[filters, channels of a group, height, width]`.
  var shape: [Int]
  var groups: Int
  /// `float32` of the product of `shape`, row-major, in base64.
  var values: String

  init(_ snapshot: FilterSnapshot) {
    layer = snapshot.layer
    step = snapshot.step
    shape = snapshot.shape
    groups = snapshot.groups
    values = snapshot.values.withUnsafeBytes { Data($0) }.base64EncodedString()
  }
}
