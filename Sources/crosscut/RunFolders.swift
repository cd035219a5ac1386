import Glibc
import Nodes
import Training

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

  /// RUN of "RUN/checkpoints/step-00000500"; `nil` for a checkpoint that lies anywhere else, as a
  /// copy does.
  static func run(ofCheckpoint path: String) -> String? {
    var folder = Folders.parent(of: path)
    // Of a path that begins in the midst of the run, the words do not say where that is.
    if [".", ".."].contains(folder.split(separator: "/").last), let real = realpath(folder, nil) {
      folder = String(cString: real)
      free(real)
    }
    guard folder.split(separator: "/").last == CheckpointStore.folderName[...] else { return nil }
    let run = Folders.parent(of: folder)
    return access(run + "/config.json", F_OK) == 0 ? run : nil
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
