import CZeroMQ

/// The ZeroMQ that is loaded.
package enum TransportLibrary {
  /// "4.3.4".
  package static var version: String {
    var parts: (major: Int32, minor: Int32, patch: Int32) = (0, 0, 0)
    zmq_version(&parts.major, &parts.minor, &parts.patch)
    return "\(parts.major).\(parts.minor).\(parts.patch)"
  }
}
