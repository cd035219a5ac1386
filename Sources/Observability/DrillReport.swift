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
  /// Since when nobody has answered; `nil` while somebody does.
  private var silentSince: Double?

  private var latest: StatusRecord
  /// The furthest step so far; and the steps that were done and had to be done again.
  private var furthestStep: UInt64
  package private(set) var stepsRepeated: UInt64 = 0
  /// The lowest turn seen in the membership that followed: beyond it training goes on.
  private var firstTurn: UInt64?
  private var stepTrainedAgain: UInt64?
  private var pace = Pace()
  /// The turn after the first answer since the fault's end.
  private var turnAfterFault: UInt64?
  private var hasLostSomebody = false

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
    pace.turn = before.turn
  }

  /// Whether the run is still the one the drill was for, not one that went on from a checkpoint.
  private var isSameRun: Bool { latest.run == before.run }
  /// How long the fault lasts, seconds.
  package var duration: Double { drill.kind == .kill ? 0 : Double(drill.milliseconds) / 1000 }
  /// Whether there was a training that could go on.
  private var wasTraining: Bool { before.state == .running || before.state == .evaluating }

  /// Takes a status, or that there was none, at `seconds`.
  package mutating func observe(_ record: StatusRecord?, at seconds: Double) {
    let elapsed = seconds - begun
    guard let record else {
      if unreachable == nil { unreachable = elapsed }
      if silentSince == nil { silentSince = elapsed }
      return
    }
    latest = record
    silentSince = nil
    if isSameRun {
      lastAnswer = elapsed
      look(for: record.events)
    } else if successor == nil {
      successor = elapsed
    }
    if !isSameRun || record.view != before.view { hasLostSomebody = true }
    // One that gathers may not know yet what it goes on from.
    if record.view > 0 || record.step > 0 {
      furthestStep = max(furthestStep, record.step)
      stepsRepeated = max(stepsRepeated, furthestStep - record.step)
    }
    pace.look(record.turn, at: elapsed)
    if elapsed > duration, turnAfterFault == nil { turnAfterFault = record.turn }
    guard noticed != nil || successor != nil, record.view > 0 else { return }
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
    return [Role.worker, .fc, .shard].allSatisfy { active(record, $0) >= active(before, $0) }
  }

  /// Whether the run has ended by itself.
  private var hasEnded: Bool {
    [.finishing, .finished, .failed].contains(latest.state)
  }

  /// Whether there is nothing more to be seen at `seconds`.
  package func isComplete(at seconds: Double) -> Bool {
    let elapsed = seconds - begun
    if hasEnded { return true }
    guard elapsed > duration, silentSince == nil else { return false }
    guard wasTraining else {
      return elapsed > duration + Self.settlingSeconds
        && (noticed != nil || successor != nil || drill.kind != .kill)
    }
    guard noticed != nil || successor != nil else {
      return drill.kind != .kill && elapsed > duration + Self.settlingSeconds && isWhole(latest)
        && hasGoneOn
    }
    guard wholeAgain != nil, let stepTrainedAgain else { return false }
    // That is noticed while it lasts and stops nothing: whether training went on shows after it.
    if drill.kind == .diskFull, !hasGoneOn { return false }
    return latest.step >= stepTrainedAgain + Self.settlingSteps
  }

  /// Whether the cluster is as it was before, or its run has ended as it should.
  package func isGood(at seconds: Double) -> Bool {
    latest.state != .failed && isComplete(at: seconds)
  }

  /// Whether a turn was committed after the fault's end, where there was a training.
  private var hasGoneOn: Bool {
    guard wasTraining else { return turnAfterFault != nil }
    return turnAfterFault.map { latest.turn > $0 } ?? false
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
    guard let noticed else {
      return hasGoneOn || hasEnded ? "not at all: nothing had to be done" : "not yet"
    }
    return "after \(Self.seconds(noticed.seconds)): \(noticed.what)"
  }

  private var trainingText: String {
    if latest.state == .failed { return "ended: \(latest.message)" }
    if silentSince != nil, !hasEnded { return "not again: no server answers" }
    if let trainedAgain, drill.kind != .diskFull {
      return "again after \(Self.seconds(trainedAgain))"
    }
    if !wasTraining, latest.view == before.view {
      return "was not under way: " + (latest.message.isEmpty ? "\(latest.state)" : latest.message)
    }
    // A full disk stops nothing.
    guard noticed == nil && successor == nil || drill.kind == .diskFull else {
      return "does not go on yet"
    }
    guard hasGoneOn || hasEnded else {
      return "does not go on yet: no step since \(Self.seconds(pace.since)) after the beginning"
    }
    return pace.standstill.map { "stood still for \(Self.seconds($0)), then went on" } ?? "went on"
  }

  private var wholeText: String {
    if silentSince != nil, !hasEnded { return "no: no server answers" }
    guard isWhole(latest) || hasEnded else { return "not yet: fewer nodes than before" }
    guard hasLostSomebody else { return "all the time" }
    guard wasTraining else { return "as before, when nothing was trained" }
    if let wholeAgain { return "again after \(Self.seconds(wholeAgain)): as many nodes as before" }
    return "not yet: training does not go on"
  }

  private var repeatedText: String {
    if stepsRepeated > 0 { return "\(stepsRepeated) steps that were done" }
    if silentSince != nil, !hasEnded { return "not known" }
    guard noticed != nil, latest.view != before.view else { return "nothing" }
    return "at most the step under way"
  }

  private var lossText: String {
    guard let old = before.loss else { return "not known" }
    guard let new = latest.loss, silentSince == nil || hasEnded else {
      return "\(Self.short(old)) before, none after"
    }
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

/// How regularly turns were committed while a drill was watched.
private struct Pace {
  /// The furthest turn seen.
  var turn: UInt64 = 0
  /// When it was seen first, seconds after the drill's beginning.
  private(set) var since = 0.0
  private var longest = 0.0
  /// Turns seen to be committed, and how long they took, without the longest pause.
  private var turns: UInt64 = 0
  private var seconds = 0.0

  mutating func look(_ turn: UInt64, at elapsed: Double) {
    guard turn != self.turn else { return }
    // Of several that were committed between two looks each took its part of the time.
    let count = turn > self.turn ? turn - self.turn : 1
    let gap = (elapsed - since) / Double(count)
    seconds += elapsed - since + min(longest, gap) - gap
    longest = max(longest, gap)
    turns += count
    self.turn = turn
    since = elapsed
  }

  /// The longest pause, if it was none that turns of this length take anyway.
  var standstill: Double? {
    let usual = turns > 1 ? seconds / Double(turns - 1) : 0
    return longest > max(0.5, 4 * usual) ? longest : nil
  }
}
