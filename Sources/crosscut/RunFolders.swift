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
    let newest = names(in: "runs").filter { isFolder("runs/\($0)") }.max()
    guard let newest else {
      throw NodeError("there is no run below runs/ here: name its directory")
    }
    return "runs/\(newest)"
  }

  /// Names in a folder, in alphabetical order; none if it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
