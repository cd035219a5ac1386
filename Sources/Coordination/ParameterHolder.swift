import Messages
import Tensors

/// Work that whoever holds parameters has for its compute thread.
protocol HolderOperation {
  /// Take the values that the run began with, velocities zero.
  static var redraw: Self { get }
  /// Take a piece of a parameter or of its velocity.
  static func place(_ slice: Slice, _ frames: [Frame]) -> Self
}

extension FCCore.Operation: HolderOperation {}
extension ShardCore.Operation: HolderOperation {}

/// What FC nodes and server shards do alike: they hold parameters in two versions, of which the
/// *working* one becomes the *committed* one once its turn is known to be committed
/// (docs/design.md, "Membership"), hand them in and get them back.
protocol ParameterHolder: MemberConduct where Operation: HolderOperation {
  /// No view, or the last one: no turn is under way.
  var isIdle: Bool { get set }
  /// Turns below this one are known to be committed.
  var committedBelow: UInt64 { get set }
  /// A training turn that is in the working version, and not yet known to be committed.
  var working: UInt64? { get set }
  /// Training steps that the committed version has seen.
  var appliedSteps: UInt64 { get set }
  /// The restore under way, and the last one that is complete.
  var restoring: Restore? { get set }
  var restored: UInt32 { get set }
  /// What has come of the restore under way.
  var pieces: PieceSequence { get set }

  /// "fc node".
  static var title: String { get }
  /// What it hands in: "its slices".
  static var holding: String { get }
  /// Whether the compute thread is at handing them in, or there are more to hand in.
  var isHandingIn: Bool { get }

  /// Makes the working version of a step the committed one.
  static func committing(step: UInt64) -> Operation
  /// Hands the committed version in.
  mutating func handIn(_ collect: Collect, _ out: inout [Directive])
  /// Whatever was under way was computed from parameters that are now void.
  mutating func forgetWork()
}

extension FCCore: ParameterHolder {
  static var title: String { "fc node" }
  static var holding: String { "its slices" }

  var isHandingIn: Bool {
    handsInMore
      || outstanding.values.contains {
        switch $0 {
        case .collect, .collectNext: true
        default: false
        }
      }
  }

  static func committing(step: UInt64) -> Operation { .apply(step: step) }

  mutating func handIn(_ collect: Collect, _ out: inout [Directive]) {
    guard working == nil || working == collect.turn else { return gate.count(.stale) }
    compute(.collect(transfer: collect.transfer, mirrored: collect.mirrored), &out)
  }

  mutating func forgetWork() {
    handsInMore = false
    inbox = [:]
    mirroring = nil
    refusedTurn = nil
  }
}

extension ShardCore: ParameterHolder {
  static var title: String { "shard" }
  static var holding: String { "its chunks" }

  var isHandingIn: Bool {
    outstanding.values.contains { if case .collect = $0 { true } else { false } }
  }

  static func committing(step: UInt64) -> Operation { .commit(step: step) }

  mutating func handIn(_ collect: Collect, _ out: inout [Directive]) {
    compute(.collect(transfer: collect.transfer), &out)
  }

  mutating func forgetWork() {}
}

extension ParameterHolder {
  mutating func beat(_ now: Microseconds, _ out: inout [Directive]) {
    beat(now, &out) { [restoring, restored] heartbeat in
      heartbeat.ready = restoring == nil
      heartbeat.restored = restored
    }
  }

  /// What it waits for while no turn is under way, or while there is nobody to have one with.
  var needBetweenTurns: Need {
    if let restoring {
      let what = "\(Self.holding) of the checkpoint after \(restoring.steps) steps"
      return Need(.member(.server), what)
    }
    guard let view = gate.view, let program else { return Need(.member(.server), "the next view") }
    if isIdle, isHandingIn { return Need(.own("compute thread"), Self.holding) }
    if isIdle, !view.isFinal { return Need(.member(.server), "the next view") }
    return isIdle || turn >= program.count
      ? Need(.member(.server), "the end of the run")
      : Need(.member(.server), "a view with workers")
  }

  /// Brings both versions to where a view goes on at turn r: a working turn below r is committed,
  /// even if it is still being computed (the compute thread works in order); a working turn r is
  /// discarded, which costs nothing, since the next one overwrites it.
  ///
  /// - Returns: whether it can go on from there; if not, it goes.
  mutating func resume(_ view: View, _ program: TurnProgram, _ out: inout [Directive]) -> Bool {
    committed(below: view.resumeTurn - min(view.skippedTurns, view.resumeTurn), &out)
    working = nil
    passOver(view, program)
    let steps = program.version(at: view.resumeTurn)
    guard appliedSteps == steps else {
      fail(
        "view \(view.number) resumes after \(steps) steps, this \(Self.title) holds the parameters "
          + "after \(appliedSteps)", &out)
      return false
    }
    return true
  }

  /// Counts the steps that a view passes over: all of them, since a node that has missed a view may
  /// know of some already.
  private mutating func passOver(_ view: View, _ program: TurnProgram) {
    guard view.skippedTurns > 0, view.skippedTurns <= view.resumeTurn,
      appliedSteps >= program.version(at: view.resumeTurn - view.skippedTurns),
      appliedSteps < program.version(at: view.resumeTurn)
    else { return }
    appliedSteps = program.version(at: view.resumeTurn)
  }

  /// Hands in what the compute thread has cut.
  func handOver(_ slices: [(Slice, [Frame])], _ out: inout [Directive]) {
    for (slice, frames) in slices {
      out.append(.send(message(.slice(slice), frames), to: .serverBulk))
    }
  }

  /// Turns below `bound` are committed: the step that waited for it counts.
  mutating func committed(below bound: UInt64, _ out: inout [Directive]) {
    committedBelow = max(committedBelow, bound)
    guard let working, working < committedBelow, let program,
      case .training(let step) = program[working]
    else { return }
    self.working = nil
    appliedSteps += 1
    compute(Self.committing(step: step), &out)
  }

  /// What the server asks for and gives back: in any view, since a view may wait for it.
  ///
  /// - Returns: whether the message was of that kind.
  mutating func takeTransfer(
    _ message: Message, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    switch message.body {
    case .collect, .restore, .slice: break
    default: return false
    }
    guard gate.admitsFromServer(message.header) else { return true }
    switch message.body {
    case .collect(let collect):
      // Of a view whose word was lost nobody here knows which turns it passes over.
      guard message.header.view == gate.view?.number else {
        gate.count(.future)
        return true
      }
      // The turns before are committed, or the server would not ask.
      committed(below: collect.turn, &out)
      if let program, appliedSteps == program.version(at: collect.turn) {
        handIn(collect, &out)
      } else {
        gate.count(.stale)
      }
    case .restore(let restore): begin(restore, now, &out)
    case .slice(let slice): take(slice, message.frames, now, &out)
    default: break
    }
    return true
  }

  private mutating func begin(
    _ restore: Restore, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard restore.transfer > max(restored, restoring?.transfer ?? 0) else {
      return gate.count(.duplicate)
    }
    restoring = restore
    pieces = PieceSequence()
    isIdle = true
    outstanding = [:]
    working = nil
    forgetWork()
    clock.enter(.waitingForView, now: now)
    out.append(.note("taking over the parameters after \(restore.steps) steps"))
    if restore.isInitial {
      compute(.redraw, &out)
      finish(restore)
    }
  }

  private mutating func take(
    _ slice: Slice, _ frames: [Frame], _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let restore = restoring, slice.transfer == restore.transfer else {
      return gate.count(.stale)
    }
    switch pieces.take(slice) {
    case .next: break
    case .useless: return gate.count(.duplicate)
    case .gap:
      // The server sees that this node waits, and gives everything again.
      return out.append(.note("a piece of the parameters was lost on the way here"))
    }
    clock.progressed(now: now)
    compute(.place(slice, frames), &out)
    if pieces.isComplete { finish(restore) }
  }

  /// The compute thread works in order: whatever it is given next finds the parameters in place.
  private mutating func finish(_ restore: Restore) {
    appliedSteps = restore.steps
    committedBelow = 0
    restored = restore.transfer
    restoring = nil
    lastBeat = nil
  }
}
