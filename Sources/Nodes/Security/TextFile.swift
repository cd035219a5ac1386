import Glibc

/// Small texts that come from a file or a pipe.
package enum TextFile {
  /// - Throws: `NodeError` that names the file; also if everybody can read it.
  package static func read(path: String) throws(NodeError) -> String { try SecretFile.read(path) }

  /// The same of a file that container platforms mount for everybody to read: that is told of.
  package static func read(
    path: String, everybodyReads note: @escaping (String) -> Void
  ) throws(NodeError) -> String {
    try SecretFile.read(path, everybodyReads: note)
  }

  /// - Parameter name: what to call it in an error.
  package static func read(descriptor: Int32, name: String) throws(NodeError) -> String {
    try SecretFile.readAll(descriptor, name)
  }
}
