import Messages
import Testing

@testable import Coordination

@Suite struct MemberCoreTests {
  private func said<Core: MemberCore>(_ core: inout Core, _ event: Core.Event) -> [String] {
    core.handle(event, now: 1000).map { directive in
      switch directive {
      case .send(let message, let to): "\(message.body) -> \(to.brief)".prefix { $0 != "(" } + ""
      case .compute: "compute"
      case .meet: "meet"
      case .note(let text): text
      case .exit(let stop): "exit, \(stop.outcome): \(stop.reason)"
      case .own: "own"
      }
    }
  }

  /// What a member does that is told to go, and what it does after that.
  private func leaving<Core: MemberCore>(_ core: Core) -> (first: [String], then: [String]) {
    var core = core
    let first = said(&core, .leave(reason: "a test"))
    return (first, [.tick, .drained, .leave(reason: "again")].flatMap { said(&core, $0) })
  }

  @Test func `whoever is in no view goes at once when told to, and does nothing after that`() {
    let ends = [
      leaving(WorkerScene().core), leaving(FCScene().core), leaving(ShardScene().core),
    ]
    for (first, then) in ends {
      #expect(first == ["leave", "leaving: a test", "exit, interrupted: a test"])
      #expect(then == [])
    }
  }

  @Test func `that something has gone out says nothing to who has nothing more to hand in`() {
    var (worker, fc, shard) = (WorkerScene().core, FCScene().core, ShardScene().core)
    #expect(said(&worker, .drained) == [])
    #expect(said(&fc, .drained) == [])
    #expect(said(&shard, .drained) == [])
  }
}
