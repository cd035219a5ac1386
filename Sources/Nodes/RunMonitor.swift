import CLinux
import Configuration
import Coordination
import Glibc
import Messages
import Observability
import Tensors
import Training

/// Keeps the figures of a run: what the status shows and what `metrics.jsonl` records.
struct RunMonitor {
  private let context: RunContext
  private let directory: RunDirectory?
  private let observer: (any RunObserver)?
  private let log: Logger
  private let metrics: MetricsLog?
  private let eventLog: MetricsLog?
  /// TensorBoard's event file.
  let tensorBoard: BoardWriter?
  /// What the run shows to whoever asks over HTTP.
  let board: StatusBoard
  private var lastPublished: Microseconds = 0
  private var lastRetry: Microseconds = 0
  private let started = MonotonicClock.now()
  /// What the run's earlier lives took, in this directory: its times go on from there.
  private let earlier: Double
  private var rate = RateMeter()
  private var record: StatusRecord
  /// Sums since the last line of `metrics.jsonl`.
  private var window = Tally.zero
  private var lastLine: Microseconds
  private var lastLineStep: UInt64 = 0
  private var recent: [Tally] = []
  private var examplesDone: UInt64 = 0
  private var turnsDone: UInt64 = 0
  /// Of the checkpoint that the run goes on from, and what it says of the data set.
  private let resumed: CheckpointManifest?
  /// How often validation has lowered the learning rate.
  var rateReductions = 0
  /// What operators have made of it.
  let rates: RateSheet

  /// Steps over which the status averages loss and accuracy: fewer follow faster, more are calmer.
  private static let recentSteps = 50
  private static let eventsKept = 20
  /// What is longer would spoil the rate, microseconds: nothing was computed in that time.
  private static let longPause: Microseconds = 5_000_000
  /// Between two snapshots on the board, microseconds.
  private static let publishingInterval: Microseconds = 250_000

  /// - Parameter resumed: the checkpoint that the run goes on from; `nil` begins anew.
  init(
    run: UInt64, context: RunContext, directory: RunDirectory?, observer: (any RunObserver)?,
    log: Logger, resumed: CheckpointManifest? = nil, rates: RateSheet = RateSheet()
  ) throws {
    self.context = context
    self.resumed = resumed
    self.rates = rates
    self.directory = directory
    self.observer = observer
    self.log = log
    lastLine = started
    let configuration = context.configuration
    record = StatusRecord(run: run, name: configuration.network.name ?? "custom")
    record.precision = configuration.precision.rawValue
    record.workersWanted = configuration.cluster.workers
    record.fcNodesWanted = configuration.cluster.fcNodes
    let shards = context.plan.shardsWanted
    record.serverShardsWanted = shards == 0 ? nil : shards
    let past = directory.map { RunHistory($0, upTo: resumed?.steps ?? 0) }
    earlier = past?.seconds ?? 0
    if earlier > 0 { record.earlierSeconds = earlier }
    metrics = try directory.map { directory in
      try MetricsLog(path: directory.metrics) { level, text in log.log(level, text) }
    }
    eventLog = try directory.map { directory in
      try MetricsLog(path: directory.events) { level, text in log.log(level, text) }
    }
    tensorBoard =
      configuration.logging.tensorboard
      ? try directory.map { directory in
        try BoardWriter(folder: directory.path) { text in log.error(text) }
      } : nil
    tensorBoard?.append(configuration: configuration.resolvedJSON())
    board = StatusBoard(
      record, plan: Array(PlanRecord.json(context).lineText.utf8), version: Version.text)
    if let past { takeIn(past) }
  }

  /// A run that goes on shows its course from the beginning.
  private mutating func takeIn(_ past: RunHistory) {
    board.append(past.metrics)
    for event in past.events.suffix(StatusBoard.eventsKept) { board.append(event) }
    record.events = past.events.suffix(Self.eventsKept)
    guard let last = past.metrics.evaluations.last else { return }
    record.testStep = last.step
    record.testLoss = last.loss
    record.testAccuracy = last.accuracy
    record.testTop5 = last.top5
  }

  /// Since this life of the run began.
  private func seconds(_ now: Microseconds) -> Double {
    Double(now - min(now, started)) / 1_000_000
  }

  /// Since the run began, all of its lives together.
  private func age(_ now: Microseconds) -> Double { earlier + seconds(now) }

  // MARK: What happens

  mutating func state(_ text: String) { record.message = text }

  mutating func event(_ text: String, _ kind: EventRecord.Kind? = nil) {
    let event = EventRecord(
      secondsSinceStart: age(MonotonicClock.now()), text: text,
      kind: kind ?? EventRecord.Kind(note: text))
    eventLog?.append(event)
    board.append(event)
    record.events.append(event)
    if record.events.count > Self.eventsKept {
      record.events.removeFirst(record.events.count - Self.eventsKept)
    }
  }

  mutating func committed(_ commit: CommitRecord, _ core: ServerCore, _ now: Microseconds) {
    turnsDone += 1
    guard commit.kind.isTraining else { return }
    examplesDone += UInt64(context.plan.globalBatch)
    rate.record(total: examplesDone, at: seconds(now))
  }

  /// The server's process did not run for so long.
  mutating func slept(_ gap: Microseconds) {
    // Through a short pause of a busy machine the others may have worked on.
    guard gap > Self.longPause else { return }
    rate.slept(Double(gap) / 1_000_000)
  }

  mutating func measured(_ step: UInt64, _ tally: Tally, _ core: ServerCore) {
    guard tally.examples > 0 else { return }
    let now = MonotonicClock.now()
    observer?.trained(
      step: step, loss: tally.lossSum / Double(tally.examples),
      accuracy: Double(tally.top1) / Double(tally.examples))
    let total = core.program?.totalSteps ?? 0
    board.append(
      MetricsHistory.Point(
        step: step + 1, secondsSinceStart: age(now),
        loss: tally.lossSum / Double(tally.examples),
        accuracy: Double(tally.top1) / Double(tally.examples),
        learningRate: learningRate(step: step, of: total),
        imagesPerSecond: rate.rate(at: seconds(now))))
    recent.append(tally)
    if recent.count > Self.recentSteps { recent.removeFirst() }
    window = window + tally
    let logging = context.configuration.logging
    let due =
      step + 1 == total || step + 1 >= lastLineStep + UInt64(logging.everySteps)
      || Double(now - lastLine) / 1_000_000 >= logging.everySeconds
    guard due else { return }
    lastLine = now
    lastLineStep = step + 1
    let line = MetricsLog.Training(
      step: step + 1, epoch: epoch(afterSteps: step + 1, core),
      loss: window.lossSum / Double(window.examples),
      accuracy: Double(window.top1) / Double(window.examples),
      learningRate: learningRate(step: step, of: total),
      imagesPerSecond: rate.rate(at: seconds(now)), secondsSinceStart: age(now), data: label)
    metrics?.append(line)
    tensorBoard?.append(line)
    window = Tally.zero
  }

  mutating func evaluated(_ step: UInt64, _ tally: Tally, _ core: ServerCore) {
    guard tally.examples > 0 else { return }
    let count = Double(tally.examples)
    record.testStep = step
    record.testLoss = tally.lossSum / count
    record.testAccuracy = Double(tally.top1) / count
    record.testTop5 = Double(tally.top5) / count
    observer?.evaluated(
      step: step, loss: tally.lossSum / count, accuracy: Double(tally.top1) / count,
      top5: Double(tally.top5) / count)
    let now = age(MonotonicClock.now())
    let percent = (Double(tally.top1) / count * 10000).rounded() / 100
    event("test accuracy \(percent) % after \(step) steps", .evaluation)
    log.info("test accuracy \(percent) % after \(step) steps")
    let evaluation = MetricsLog.Evaluation(
      step: step, epoch: epoch(afterSteps: step, core), loss: tally.lossSum / count,
      accuracy: Double(tally.top1) / count, top5: Double(tally.top5) / count,
      secondsSinceStart: now, data: label)
    metrics?.append(evaluation)
    board.append(evaluation)
    tensorBoard?.append(evaluation)
  }

  /// Writes down how the run ended.
  mutating func finish(_ stop: Stop, _ core: ServerCore, refusals: UInt64) {
    var record = record(core, refusals: refusals, now: MonotonicClock.now())
    record.state = stop.outcome == .failed ? .failed : .finished
    record.message = stop.reason
    record.etaSeconds = nil
    log.info("\(stop.outcome.rawValue): \(stop.reason)")
    board.publish(record)
    metrics?.finish()
    eventLog?.finish()
    directory?.writeSummary(record, stop, log)
  }

  /// Mean loss of the recent steps, and the last evaluation's accuracy.
  var latest: (loss: Double?, testAccuracy: Double?) {
    let sum = recent.reduce(Tally.zero, +)
    return (
      sum.examples > 0 ? sum.lossSum / Double(sum.examples) : nil, record.testAccuracy
    )
  }

  /// Writes what a full disk has made wait, a few times a second.
  ///
  /// - Returns: whether it was time for that.
  mutating func retryIfDue(now: Microseconds) -> Bool {
    guard now - min(now, lastRetry) >= Self.publishingInterval else { return false }
    lastRetry = now
    metrics?.retry()
    eventLog?.retry()
    return true
  }

  // MARK: The status

  /// Puts the status on the board if the last one is old enough.
  ///
  /// - Returns: whether it did.
  mutating func publishIfDue(_ core: ServerCore, refusals: UInt64, now: Microseconds) -> Bool {
    guard now - min(now, lastPublished) >= Self.publishingInterval else { return false }
    lastPublished = now
    board.publish(record(core, refusals: refusals, now: now))
    return true
  }

  /// What every measure of made-up examples carries.
  private var label: String? {
    context.configuration.dataset.kind == DatasetRecord.synthetic ? DatasetRecord.synthetic : nil
  }

  /// The rate that the weights' update of a step goes by.
  private func learningRate(step: UInt64, of total: UInt64) -> Double {
    rates.factor(at: step)
      * context.configuration.learningRate(
        step: Int(step), of: Int(total), reductions: rateReductions)
  }

  private func epoch(afterSteps steps: UInt64, _ core: ServerCore) -> Double {
    EpochCount(resumed, globalBatch: context.plan.globalBatch).epoch(
      afterSteps: steps,
      of: core.dataset?.trainingExamples ?? resumed?.trainingExamples ?? 0)
  }

  /// The status as of now.
  mutating func record(
    _ core: ServerCore, refusals: UInt64, now: Microseconds
  ) -> StatusRecord {
    let program = core.program
    record.turn = core.turn
    record.step = core.committedSteps
    record.totalSteps = program?.totalSteps ?? context.plan.knownTotalSteps ?? 0
    record.epoch = epoch(afterSteps: record.step, core)
    record.totalEpochs = epoch(afterSteps: record.totalSteps, core)
    record.elapsedSeconds = seconds(now)
    record.unixSeconds = MonotonicClock.wall()
    record.dataset = core.dataset.map {
      DatasetRecord(
        kind: context.configuration.dataset.kind, trainingExamples: $0.trainingExamples,
        evaluationExamples: $0.evaluationExamples,
        fingerprint: Version.runName($0.fingerprint))
    }
    record.view = core.view?.number ?? 0
    record.learningRate = learningRate(
      step: min(record.step, max(record.totalSteps, 1) - 1), of: record.totalSteps)
    record.imagesPerSecond = rate.rate(at: seconds(now))
    record.etaSeconds = rate.secondsLeft(
      remaining: (record.totalSteps - min(record.step, record.totalSteps))
        * UInt64(context.plan.globalBatch), at: seconds(now))
    let sum = recent.reduce(Tally.zero, +)
    if sum.examples > 0 {
      record.loss = sum.lossSum / Double(sum.examples)
      record.accuracy = Double(sum.top1) / Double(sum.examples)
    }
    describeState(core)
    record.serverWaits = core.waits(now: now).map { WaitRecord($0) }
    record.nodes = core.membership.records.values
      // "worker" before "fc".
      .sorted { ($1.name.role.rawValue, $0.name.rank) < ($0.name.role.rawValue, $1.name.rank) }
      .map { nodeRecord($0, now) }
    return record
  }

  private mutating func describeState(_ core: ServerCore) {
    switch core.state {
    case .gathering, .paused:
      record.state = .gathering
      let owners = core.waits(now: MonotonicClock.now()).map { "\($0.owner)" }
      record.message =
        owners.isEmpty ? "" : "waiting for \(owners.joined(separator: ", "))"
    case .running:
      let isTraining = core.program.map {
        core.turn < $0.count && $0[core.turn].isTraining
      }
      record.state = isTraining ?? true ? .running : .evaluating
      record.message = ""
    case .ending(let stop), .farewell(let stop, _):
      record.state = stop.outcome == .failed ? .failed : .finishing
      record.message = stop.reason
    case .over: break
    }
  }

  private func nodeRecord(_ member: MemberRecord, _ now: Microseconds) -> NodeRecord {
    let age = (now - min(now, member.lastHeard)) / 1000
    var node = NodeRecord(
      name: member.name, node: member.node, host: member.join.host,
      processID: member.join.processID,
      state: age > context.plan.timing.heartbeat * 3
        ? .silent : (member.state == .active ? .active : .joined))
    if !member.join.endpoint.isEmpty { node.endpoint = member.join.endpoint }
    if let heartbeat = member.heartbeat {
      node.update(with: heartbeat, ageMilliseconds: age)
    } else {
      node.heartbeatAgeMilliseconds = age
    }
    return node
  }
}
