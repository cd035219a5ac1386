/// Those examples of a loader's two sets that cannot be read, and whether they are too many.
///
/// The place of such an example is taken by the next one of its set that can be read, in the order of
/// the index: the same on every machine, whenever it comes up. Thread-safe.
package final class BrokenExamples: Sendable {
  /// Too many begins with these.
  package static let least = 10
  /// More than these are counted and not named.
  private static let mostNamed = 1000

  private struct State {
    var training: Set<Int> = []
    var evaluation: Set<Int> = []
    var read: UInt64 = 0
    var failed: UInt64 = 0
    var news: [String] = []

    var count: Int { training.count + evaluation.count }
  }

  /// Of what is read, as much may be broken; 0: nothing.
  private let mostFraction: Double
  // Not a `Mutex`: as `ExampleOrder` says.
  private let lock = Condition()
  /// Used under `lock` only.
  private nonisolated(unsafe) var state = State()

  /// - Parameter mostFraction: of the examples read so far, as many may be broken, and always fewer
  ///   than `least`; 0: none.
  package init(mostFraction: Double) { self.mostFraction = mostFraction }

  /// How many different examples could not be read so far.
  package var count: Int { lock.locked { state.count } }

  /// A line for each that has been found since the last call.
  package func takeNews() -> [String] {
    lock.locked {
      defer { state.news = [] }
      return state.news
    }
  }

  /// Counts an example that could be read.
  func noteRead() { lock.locked { state.read += 1 } }

  /// Counts an example that could not be read.
  ///
  /// - Throws: `DatasetError` that ends the run, if they are too many.
  func note(_ error: DatasetError, _ index: Int, isTraining: Bool) throws(DatasetError) {
    try lock.locked { () throws(DatasetError) in
      state.read += 1
      state.failed += 1
      let isNew =
        isTraining
        ? state.training.insert(index).inserted : state.evaluation.insert(index).inserted
      guard !isTooMany else {
        let share = "\(state.failed) of the \(state.read) examples read so far"
        throw DatasetError(
          "dataset",
          "\(share) cannot be read, dataset.maxBrokenFraction is \(mostFraction);"
            + " the last: \(error)", endsRun: true)
      }
      guard isNew, state.count <= Self.mostNamed else { return }
      let set = isTraining ? "training" : "test"
      state.news.append(
        "an example of the \(set) set cannot be read, the next one takes its place: \(error)")
      if state.count == Self.mostNamed {
        state.news.append("further examples that cannot be read are counted and not named")
      }
    }
  }

  private var isTooMany: Bool {
    mostFraction == 0
      || state.count >= Self.least && Double(state.failed) > mostFraction * Double(state.read)
  }
}
