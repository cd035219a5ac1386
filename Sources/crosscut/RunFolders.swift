import Glibc
import Nodes
import Observability
import Training

/// Folders of runs, as commands that look at them find them.
enum RunFolders {
  /// The folder that an argument names, or the newest below `runs/`: that of the run which began, or
  /// was resumed, last.
  ///
  /// - Parameters:
  ///   - folder: where runs are that nobody has given a directory.
  ///   - isPreferred: whether the newest is to be sought among such as these first.
  /// - Throws: `NodeError` if there is none.
  static func find(
    _ argument: String?, in folder: String = "runs",
    isPreferred: (String) -> Bool = { _ in false }
  ) throws(NodeError) -> String {
    if let argument {
      let path = argument.count > 1 && argument.hasSuffix("/") ? "\(argument.dropLast())" : argument
      guard isFolder(path) else { throw NodeError("\(path): there is no such run directory") }
      return path
    }
    // Not by their names: only some are named by their times.
    let runs = Folders.names(in: folder).map { "\(folder)/\($0)" }.filter(isFolder)
      .map { (time: begin($0), path: $0) }
      .sorted { ($0.time.0, $0.time.1, $0.path) > ($1.time.0, $1.time.1, $1.path) }.map(\.path)
    guard let newest = runs.first(where: isPreferred) ?? runs.first else {
      throw NodeError("there is no run below \(folder)/ here: name its directory")
    }
    return newest
  }

  /// When one of a run's starts wrote down what it is, in seconds and nanoseconds since 1970, which no
  /// number has room for together; 0 if none has.
  private static func begin(_ run: String) -> (Int, Int) {
    ["config.json", "server.pid"].map { name in
      var status = stat()
      guard stat("\(run)/\(name)", &status) == 0 else { return (0, 0) }
      return (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }.max { $0 < $1 } ?? (0, 0)
  }

  /// Where to reach the server of a run from here.
  ///
  /// - Throws: `NodeError` if there is no such run, or it does not go on.
  static func server(of run: String) throws(NodeError) -> String {
    let folder = try find(run)
    let directory = RunDirectory(existing: folder)
    guard let home = directory.server else {
      let record = directory.readSummary()
      let end = record.map { ": \($0.state.rawValue) after \($0.step) of \($0.totalSteps) steps" }
      throw NodeError("\(folder): its server does not run\(end ?? "")")
    }
    let bound = try boundAddress(of: folder)
    if case .elsewhere(let host) = home, Endpoint.isLocal(bound) {
      throw NodeError("\(folder): its server runs on \(host), and listens there only, at \(bound)")
    }
    guard Endpoint.isWildcard(bound) else { return bound }
    let port = bound.split(separator: ":").last ?? "5555"
    switch home {
    case .here: return "tcp://127.0.0.1:\(port)"
    case .elsewhere(let host): return "tcp://\(host):\(port)"
    }
  }

  /// Where the server of a run listens, as it has written it down.
  static func boundAddress(of run: String) throws(NodeError) -> String {
    guard let text = RunDirectory.text(of: RunDirectory(existing: run).address),
      text.hasSuffix("\n")
    else { throw NodeError("\(run)/server.address cannot be read: has its server started?") }
    return String(text.dropLast())
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
