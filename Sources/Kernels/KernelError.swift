/// A layer that could not be prepared: which library call failed, why, and for which layer.
package struct KernelError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The C function ("dnnl_primitive_desc_create") or the check that failed.
  package let call: String
  /// The library's own status text ("unimplemented"), or the reason in words.
  package let reason: String
  /// "conv1", or `nil` if no layer is at fault.
  package let layer: String?

  package init(call: String, reason: String, layer: String? = nil) {
    self.call = call
    self.reason = reason
    self.layer = layer
  }

  package var description: String {
    (layer.map { "\($0): " } ?? "") + "\(call): \(reason)"
  }
}
