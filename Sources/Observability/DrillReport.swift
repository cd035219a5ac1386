package import Messages

/// What came of a drill, from the statuses that a server gave before, during and after it.
package struct DrillReport {
  /// Steps after the repair until the loss, a mean over as many, says something of it.
  package static let settlingSteps: UInt64 = 50
  /// How long a drill without a visible effect is watched after its end, seconds: longer than a
  /// silent node is waited for.
  private static let settlingSeconds = 4.0

  private let drill: Drill
  private let target: NodeName
  private let before: StatusRecord
  /// When the server took the command, by the observer's clock.
  private let begun: Double
  /// The same by the server's clock: that of its events.
  private var begunAtServer: Double?

  /// What the server noticed first, and after how many seconds.
  package private(set) var noticed: (seconds: Double, what: String)?
  /// When turns were committed again, and when everybody was back, seconds after the beginning.
  package private(set) var trainedAgain: Double?
  package private(set) var wholeAgain: Double?
  /// The last answer of the server that took the command, the first look that it did not answer,
  /// and the first answer of another in its place.
  private var lastAnswer = 0.0
  private var unreachable: Double?
  private var successor: Double?

  private var latest: StatusRecord
  /// The furthest step so far; and the steps that were done and had to be done again.
  private var furthestStep: UInt64
  package private(set) var stepsRepeated: UInt64 = 0
  /// The lowest turn seen in the membership that followed: beyond it training goes on.
  private var firstTurn: UInt64?
  private var stepTrainedAgain: UInt64?

  /// - Parameters:
  ///   - before: the last status before the command.
  ///   - begun: when the server took the command, on the clock of `observe`.
  package init(_ drill: Drill, at target: NodeName, before: StatusRecord, begun: Double) {
    self.drill = drill
    self.target = target
    self.before = before
    self.begun = begun
    latest = before
    furthestStep = before.step
  }

  /// Whether the run is still the one the drill was for, not one that went on from a checkpoint.
  private var isSameRun: Bool { latest.run == before.run }
  private var duration: Double { drill.kind == .kill ? 0 : Double(drill.milliseconds) / 1000 }

  /// Takes a status, or that there was none, at `seconds`.
  package mutating func observe(_ record: StatusRecord?, at seconds: Double) {
    let elapsed = seconds - begun
    guard let record else {
      if unreachable == nil { unreachable = elapsed }
      return
    }
    latest = record
    if isSameRun {
      lastAnswer = elapsed
      look(for: record.events)
    } else if successor == nil {
      successor = elapsed
    }
    furthestStep = max(furthestStep, record.step)
    stepsRepeated = max(stepsRepeated, furthestStep - record.step)
    guard noticed != nil || successor != nil else { return }
    if record.view != before.view || !isSameRun {
      firstTurn = min(firstTurn ?? record.turn, record.turn)
    } else if firstTurn == nil {
      firstTurn = record.turn
    }
    if trainedAgain == nil, let firstTurn, record.turn > firstTurn {
      trainedAgain = elapsed
      stepTrainedAgain = record.step
    }
    if wholeAgain == nil, trainedAgain != nil, isWhole(record) { wholeAgain = elapsed }
  }

  /// Finds the drill among the server's events, and what the server says first after it.
  private mutating func look(for events: [EventRecord]) {
    let name = "operator: drill at \(target)"
    if begunAtServer == nil {
      begunAtServer = events.last { $0.text.hasPrefix(name) }?.secondsSinceStart
    }
    guard noticed == nil, let begun = begunAtServer else { return }
    let kinds: Set<EventRecord.Kind> = [.gone, .stall, .recovery]
    let first = events.first {
      $0.secondsSinceStart >= begun
        && ($0.kind.map(kinds.contains) == true || $0.text.contains("failed, training goes on"))
    }
    if let first { noticed = (max(0, first.secondsSinceStart - begun), first.text) }
  }

  private func isWhole(_ record: StatusRecord) -> Bool {
    func active(_ record: StatusRecord, _ role: Role) -> Int {
      record.nodes.count { $0.role == role && $0.state == .active }
    }
    return [Role.worker, .fc].allSatisfy { active(record, $0) >= active(before, $0) }
  }

  /// Whether there is nothing more to be seen at `seconds`.
  package func isComplete(at seconds: Double) -> Bool {
    let elapsed = seconds - begun
    if latest.state == .finished || latest.state == .failed { return true }
    guard elapsed > duration else { return false }
    guard noticed != nil || successor != nil else {
      return drill.kind != .kill && elapsed > duration + Self.settlingSeconds
    }
    guard wholeAgain != nil, let stepTrainedAgain else { return false }
    return latest.step >= stepTrainedAgain + Self.settlingSteps
  }

  /// The report, a line a subject.
  package var text: String {
    let lines = [
      ("noticed", noticedText), ("training", trainingText), ("whole", wholeText),
      ("repeated", repeatedText), ("loss", lossText), ("messages", messagesText),
    ]
    let width = lines.map { $0.0.count }.max() ?? 0
    let rows = lines.map { name, text in
      "  " + name + String(repeating: " ", count: width - name.count) + "  \(text)\n"
    }
    return "drill at \(target): \(drill)\n" + rows.joined()
  }

  private var noticedText: String {
    // How long nobody answered and not whether anybody asked meanwhile, which is chance.
    if let successor, noticed == nil {
      return "after \(Self.seconds(successor)): another server answered, the one before it for the"
        + " last time after \(Self.seconds(lastAnswer))"
    }
    if target == .server, let unreachable, noticed == nil {
      return "the server did not answer after \(Self.seconds(unreachable))"
    }
    guard let noticed else { return "not at all: nothing had to be done" }
    return "after \(Self.seconds(noticed.seconds)): \(noticed.what)"
  }

  private var trainingText: String {
    // A full disk stops nothing.
    if drill.kind == .diskFull { return "went on" }
    if let trainedAgain { return "again after \(Self.seconds(trainedAgain))" }
    return noticed == nil && successor == nil ? "went on" : "does not go on yet"
  }

  private var wholeText: String {
    if let wholeAgain { return "again after \(Self.seconds(wholeAgain)): as many nodes as before" }
    return isWhole(latest) ? "all the time" : "not yet: fewer nodes than before"
  }

  private var repeatedText: String {
    if stepsRepeated > 0 { return "\(stepsRepeated) steps that were done" }
    guard noticed != nil, latest.view != before.view else { return "nothing" }
    return "at most the step under way"
  }

  private var lossText: String {
    guard let old = before.loss, let new = latest.loss else { return "not known" }
    return "\(Self.short(old)) before, \(Self.short(new)) after (means of up to"
      + " \(Self.settlingSteps) steps)"
  }

  private var messagesText: String {
    func dropped(_ record: StatusRecord) -> UInt64 {
      record.nodes.reduce(0) { $0 + $1.droppedMessages }
    }
    let (old, new) = (dropped(before), dropped(latest))
    return "\(new > old ? new - old : 0) refused by the nodes meanwhile"
  }

  private static func seconds(_ value: Double) -> String {
    value < 0.0995 ? "\(Int((value * 1000).rounded())) ms" : "\((value * 100).rounded() / 100) s"
  }

  private static func short(_ value: Double) -> String { "\((value * 10_000).rounded() / 10_000)" }
}
