import DurableFiles

/// One parameter with its optimizer state, to be written; the memory is valid during the call.
package struct CheckpointTensor {
  /// torchvision's name: "features.0.weight".
  package let name: String
  /// Extents, outermost first.
  package let shape: [Int]
  /// Row-major.
  package let value: UnsafeBufferPointer<Float>
  /// The momentum's velocity of each value.
  package let velocity: UnsafeBufferPointer<Float>

  /// A parameter; both buffers have as many values as the shape says.
  package init(
    name: String, shape: [Int], value: UnsafeBufferPointer<Float>,
    velocity: UnsafeBufferPointer<Float>
  ) {
    self.name = name
    self.shape = shape
    self.value = value
    self.velocity = velocity
  }
}

/// The checkpoints of a run: `RUN/checkpoints/step-00000500/` and so on.
///
/// A checkpoint is whole or not there: it is written as `step-00000500.new/`, every file of it
/// synced to the disk, and then the directory renamed.
package struct CheckpointStore: Sendable {
  /// One checkpoint of the directory.
  package struct Listing: Sendable {
    /// Its directory.
    package let path: String
    /// Optimizer steps, by the directory's name.
    package let steps: UInt64
    /// What it says of itself, or why it is refused; its data is not read for that.
    package let manifest: Result<CheckpointManifest, CheckpointError>
    /// Whether it has the lowest validation error of the run.
    package let isBest: Bool

    /// Whether the run has gone back before it.
    package var isAside: Bool { Folder.name(of: path).contains(CheckpointStore.asideSuffix) }

    /// A checkpoint, after it was looked at.
    package init(
      path: String, steps: UInt64, manifest: Result<CheckpointManifest, CheckpointError>,
      isBest: Bool = false
    ) {
      self.isBest = isBest
      self.path = path
      self.steps = steps
      self.manifest = manifest
    }
  }

  /// Of a directory that is being written.
  static let unfinishedSuffix = ".new"
  /// Of a directory that is being removed.
  static let removedSuffix = ".old"
  /// In the name of a directory that the run has gone back before.
  static let asideSuffix = ".aside"
  /// What is being written and whose step is not known yet.
  static let collecting = "collecting"

  /// Where the checkpoints are; made by the first write, in a parent that must be there.
  package let directory: String
  /// Complete checkpoints that a write leaves; at least its own.
  package let keep: Int
  /// How the disk is reached.
  let calls: FileCalls

  /// A store; touches nothing yet.
  ///
  /// - Parameter diskIsFull: whether writes are to fail as on a full disk, for a drill.
  package init(
    directory: String, keep: Int, diskIsFull: @escaping @Sendable () -> Bool = { false }
  ) {
    self.init(directory: directory, keep: keep, calls: .full(when: diskIsFull))
  }

  /// A store on the disk that these calls play.
  init(directory: String, keep: Int, calls: FileCalls) {
    self.directory = Folder.trimmed(directory)
    self.keep = max(keep, 1)
    self.calls = calls
  }

  /// Those that the run has gone back before, newest first: they have lost their names, not their files.
  package func listAside() -> [Listing] {
    let names = (try? Folder.entries(of: directory)) ?? []
    return names.compactMap { name in
      name.firstRange(of: Self.asideSuffix).flatMap { suffix in
        CheckpointName.steps(of: String(name[..<suffix.lowerBound])).map { ($0, name) }
      }
    }.sorted { $0 > $1 }.map { Self.listing(of: "\(directory)/\($1)", steps: $0) }
  }

  /// All checkpoints, newest first; each is looked at, but its data is not read.
  ///
  /// A directory that is not there has none. One that cannot be read is listed itself, refused.
  package func list() -> [Listing] {
    let found: [(steps: UInt64, path: String)]
    do throws(CheckpointError) {
      found = try checkpoints()
    } catch {
      return [Listing(path: directory, steps: 0, manifest: .failure(error))]
    }
    let best = best
    return found.map { Self.listing(of: $0.path, steps: $0.steps, isBest: $0.path == best) }
  }

  /// The newest checkpoint whose every byte is as it was written.
  ///
  /// - Parameter note: is given a line for each that was passed over: its file, and why.
  /// - Throws: `CheckpointError` if one that may be good cannot be read now: to pass it over would take
  ///   back steps that are not lost.
  package func newestGood(_ note: (String) -> Void) throws(CheckpointError) -> Checkpoint? {
    do throws(CheckpointError) {
      for name in try Folder.entries(of: directory) where Self.isLeftOver(name) {
        note("\(directory)/\(name): left over by a write that did not end, ignored")
      }
    } catch {
      guard !error.isUnreadable else { throw error }
      note("\(error)")
      return nil
    }
    return try newestGood(upTo: .max, note)
  }

  /// The same, of those after at most so many steps; what a write has left over is nobody's business here.
  package func newestGood(
    upTo steps: UInt64, _ note: (String) -> Void
  ) throws(CheckpointError) -> Checkpoint? {
    let found: [(steps: UInt64, path: String)]
    do throws(CheckpointError) {
      found = try checkpoints()
    } catch {
      guard !error.isUnreadable else { throw error }
      note("\(error)")
      return nil
    }
    for (_, path) in found.drop(while: { $0.steps > steps }) {
      do throws(CheckpointError) {
        return try Checkpoint(path: path)
      } catch {
        guard !error.isUnreadable else {
          throw CheckpointError(
            path: error.path,
            reason: error.reason + "; it may be good: make it readable, or --resume an older one",
            obstacle: error.obstacle)
        }
        note("\(error)")
      }
    }
    return nil
  }

  /// Directories by their names, newest first.
  func checkpoints() throws(CheckpointError) -> [(steps: UInt64, path: String)] {
    try Folder.entries(of: directory)
      .compactMap { name in CheckpointName.steps(of: name).map { ($0, "\(directory)/\(name)") } }
      .sorted { $0 > $1 }
  }

  /// Whether a name is one that only an interrupted write or removal leaves.
  static func isLeftOver(_ name: String) -> Bool {
    name == collecting + unfinishedSuffix
      || [unfinishedSuffix, removedSuffix].contains {
        name.hasSuffix($0) && CheckpointName.steps(of: String(name.dropLast($0.count))) != nil
      }
  }
}
