package import Configuration
import DurableFiles
import FoundationEssentials
import Glibc
package import Training

/// What a run's beginning writes into its directory. A start that is refused changes nothing that is
/// there: with it the run could no longer be resumed as it was.
extension RunDirectory {
  /// Another run's checkpoint that a run goes on from.
  package struct Origin: Codable, Hashable, Sendable {
    /// Absolute.
    package let path: String
    package let run: String
    package let steps: UInt64

    init(_ checkpoint: Checkpoint) {
      let real = realpath(checkpoint.path, nil)
      path = real.map { String(cString: $0) } ?? checkpoint.path
      free(real)
      run = checkpoint.manifest.run
      steps = checkpoint.manifest.steps
    }
  }

  private var originFile: String { path + "/origin.json" }
  /// The configuration of a start that may be refused, beside that of the run which is there.
  private var proposal: String { configuration + ".next" }

  /// Where the run has begun, if that was another run's checkpoint: without one of its own it goes on
  /// from there.
  ///
  /// - Throws: `NodeError` if nobody knows.
  package var origin: Origin? {
    get throws(NodeError) {
      guard let text = try Self.contents(of: originFile) else { return nil }
      guard let origin = try? JSONDecoder().decode(Origin.self, from: Data(text.utf8)) else {
        throw NodeError("\(originFile) is damaged: where the run has begun is not known")
      }
      return origin
    }
  }

  /// Writes a configuration where a server that is to begin can read it.
  ///
  /// - Returns: the file: beside `config.json`, if another is there.
  func propose(
    _ configuration: RunConfiguration, from checkpoint: Checkpoint?
  ) throws(NodeError) -> String {
    let text = configuration.resolvedJSON() + "\n"
    guard Self.exists(self.configuration) else {
      // Whoever finds the one is to find the other.
      try write(originOf: checkpoint)
      try write(configuration)
      return self.configuration
    }
    guard Self.text(of: self.configuration) != text else { return self.configuration }
    try Self.replace(proposal, with: text)
    return proposal
  }

  /// Removes what `propose` has written: the server has begun, or does not.
  func forgetProposal() { unlink(proposal) }

  /// Writes what belongs to a run that is sure to begin, and removes what an earlier one has left.
  ///
  /// - Parameters:
  ///   - goesOn: whether the run was under way before in this directory.
  ///   - settle: what has to come with it; where it throws, all is as it was.
  package func begin(
    _ configuration: RunConfiguration, from checkpoint: Checkpoint?, goesOn: Bool,
    _ settle: () throws -> Void
  ) throws {
    let before = [originFile, self.configuration].map { ($0, Self.text(of: $0)) }
    do {
      try write(originOf: checkpoint)
      try write(configuration)
      try settle()
    } catch {
      for (file, text) in before {
        if let text { try? Self.replace(file, with: text) } else { unlink(file) }
      }
      throw error
    }
    // It would be that of another run, or somebody goes back, perhaps to undo just that.
    if !goesOn { RateFile(in: self).remove() }
    unlink(summary)
  }

  private func write(originOf checkpoint: Checkpoint?) throws(NodeError) {
    guard let checkpoint else {
      unlink(originFile)
      return
    }
    let folder = Folders.parent(of: checkpoint.path)
    guard !FolderNames.isSame(folder, checkpoints) else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let text = (try? encoder.encode(Origin(checkpoint))).map { String(decoding: $0, as: UTF8.self) }
    guard let text else { throw NodeError("cannot write \(originFile)") }
    try Self.replace(originFile, with: text + "\n")
  }
}
