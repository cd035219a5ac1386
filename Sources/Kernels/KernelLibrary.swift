import COneDNN

/// The oneDNN that is loaded.
package enum KernelLibrary {
  /// "2.6.3".
  package static var version: String {
    guard let version = dnnl_version()?.pointee else { return "unknown" }
    return "\(version.major).\(version.minor).\(version.patch)"
  }
}
