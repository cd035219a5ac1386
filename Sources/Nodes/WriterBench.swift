import Network
import Tensors
import Training

/// What the writer's thread has before it.
struct WriterBench {
  private let store: CheckpointStore
  private let network: NetworkPlan
  private var draft: CheckpointDraft?
  /// Where the checkpoint is that was finished last, for the model.
  private var finished: String?
  /// What went wrong first with the draft's parameters, and with their velocities; the rest of these
  /// is passed over. Parameters alone are a model still.
  private var problems: (value: CheckpointError?, velocity: CheckpointError?)

  /// Why there will be no checkpoint.
  var problem: CheckpointError? { problems.value ?? problems.velocity }

  init(_ store: CheckpointStore, _ network: NetworkPlan) {
    self.store = store
    self.network = network
  }

  mutating func begin(_ steps: UInt64?) {
    // First: a store has one draft at a time.
    clear()
    problems = (nil, nil)
    do throws(CheckpointError) {
      draft = try CheckpointDraft(
        in: store, steps: steps,
        tensors: network.parameters.entries.map { ($0.name, $0.shape.extents) })
    } catch {
      problems.value = error
    }
  }

  /// Gives back the disk's room of a draft that is not finished.
  mutating func clear() {
    draft = nil
    finished = nil
  }

  mutating func put(_ chunks: [Chunk], of version: ConvolutionalVersion) {
    for chunk in chunks {
      for part in network.stages[chunk.stage].parts(of: chunk.range) {
        for (isVelocity, source) in [(false, version.values), (true, version.velocities)] {
          let values = UnsafeBufferPointer(
            start: UnsafePointer(source[chunk.stage].floatPointer) + part.offset,
            count: part.elements.count)
          write(part.entry.name, isVelocity, part.elements.lowerBound, values)
        }
      }
    }
  }

  mutating func put(_ piece: ParameterPiece) {
    let columns = piece.columns
    guard !columns.isEmpty else { return }
    var row = piece.firstRow
    for frame in piece.frames {
      let values = frame.floats
      let rows = values.count / columns.count
      let first = row * piece.width + columns.lowerBound
      row += rows
      guard columns.count < piece.width else {
        write(piece.name, piece.isVelocity, first, values)
        continue
      }
      for index in 0..<rows {
        let part = values[index * columns.count..<(index + 1) * columns.count]
        write(
          piece.name, piece.isVelocity, first + index * piece.width,
          UnsafeBufferPointer(rebasing: part))
      }
    }
  }

  private mutating func write(
    _ name: String, _ isVelocity: Bool, _ element: Int, _ values: UnsafeBufferPointer<Float>
  ) {
    guard let draft, (isVelocity ? problems.velocity : problems.value) == nil else { return }
    do throws(CheckpointError) {
      try draft.write(name, velocity: isVelocity, at: element, values)
    } catch {
      if isVelocity { problems.velocity = error } else { problems.value = error }
    }
  }

  mutating func finish(
    _ manifest: CheckpointManifest, best: UInt64, sparing spared: UInt64?,
    _ confirm: () throws(CheckpointError) -> Void
  ) -> Result<String, CheckpointError> {
    if let problem { return .failure(problem) }
    do throws(CheckpointError) {
      guard let draft else {
        throw CheckpointError(path: store.directory, reason: "nothing was collected")
      }
      let path = try draft.finish(manifest, sparing: spared, confirm)
      finished = path
      // The checkpoint is there: where it cannot be marked (a file system without symbolic links) it
      // is kept as any other.
      if best > 0, best == manifest.steps { try? store.mark(best: best) }
      return .success(path)
    } catch {
      return .failure(error)
    }
  }

  mutating func saveModel(to path: String, _ metadata: [String: String]) -> SafeTensorsError? {
    defer { clear() }
    do {
      if let finished {
        try Checkpoint(path: finished, verify: false).saveModel(to: path, metadata: metadata)
      } else if let draft, problems.value == nil {
        try draft.saveModel(to: path, metadata: metadata)
      } else {
        throw SafeTensorsError(path: path, reason: problem?.reason ?? "nothing was collected")
      }
      return nil
    } catch let error as CheckpointError {
      return SafeTensorsError(path: error.path, reason: error.reason)
    } catch {
      return error as? SafeTensorsError ?? SafeTensorsError(path: path, reason: "\(error)")
    }
  }
}
