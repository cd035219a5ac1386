import Configuration
import Nodes
import Training

extension ParsedArguments {
  /// Opens the data set of a run, before any process starts.
  ///
  /// - Throws: `ConfigurationError` for a network that does not fit it; else why it cannot be opened.
  @discardableResult
  func openData(_ context: RunContext, _ resumed: ResumedRun?) throws -> OpenDataset {
    do throws(TrainingError) {
      let data = try OpenDataset(context)
      if let note = data.surplus(context) { Console.printError("crosscut: warning: \(note)") }
      return data
    } catch {
      guard error.isOfConfiguration else { throw error }
      throw ConfigurationError(source: configurationName(resumed), error.message)
    }
  }

  /// What errors call the configuration: as those do that are found when it is read.
  private func configurationName(_ resumed: ResumedRun?) -> String {
    let name = positional(0) ?? resumed?.runDirectory.map { $0 + "/config.json" } ?? "fashion"
    return RunConfiguration.presetNames.contains(name) ? "preset \(name)" : name
  }
}
