import Glibc
import Nodes

/// Folders of runs, as commands that look at them find them.
enum RunFolders {
  /// The folder that an argument names, or the newest below `runs/`.
  ///
  /// - Throws: `NodeError` if there is none.
  static func find(_ argument: String?) throws(NodeError) -> String {
    if let argument {
      let path = argument.count > 1 && argument.hasSuffix("/") ? "\(argument.dropLast())" : argument
      guard isFolder(path) else { throw NodeError("\(path): there is no such run directory") }
      return path
    }
    // They are named by their times.
    let newest = Folders.names(in: "runs").filter { isFolder("runs/\($0)") }.max()
    guard let newest else {
      throw NodeError("there is no run below runs/ here: name its directory")
    }
    return "runs/\(newest)"
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
