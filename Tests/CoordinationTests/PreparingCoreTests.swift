import Messages
import Testing

@testable import Coordination

@Suite struct PreparingCoreTests {
  private let identity = Header(run: 7, view: 0, sender: NodeID(3), incarnation: 30)

  private func core(at now: Microseconds = 0) -> PreparingCore {
    PreparingCore(plan: Fixture.plan(), identity: identity, serverIncarnation: 99, now: now)
  }

  private func stop(run: UInt64 = 7, incarnation: UInt64 = 99) -> Message {
    Message(
      Header(run: run, view: 0, sender: .server, incarnation: incarnation),
      .stop(Stop(outcome: .finished, reason: "all steps done")))
  }

  private func describe(_ directives: [PreparingCore.Directive]) -> [String] {
    directives.map { directive in
      switch directive {
      case .send(let message):
        switch message.body {
        case .goodbye: "goodbye"
        case .heartbeat(let beat): "\(beat.phase), ready: \(beat.ready)"
        default: "another message"
        }
      case .exit(let stop): "exit: \(stop.reason)"
      }
    }
  }

  @Test func `it says that it lives and is not ready, once a heartbeat`() {
    var core = core(at: 1_000_000)
    #expect(describe(core.tick(now: 1_400_000)) == [])
    #expect(describe(core.tick(now: 1_500_000)) == ["preparing, ready: false"])
    #expect(describe(core.tick(now: 1_900_000)) == [])
    #expect(describe(core.tick(now: 2_000_000)) == ["preparing, ready: false"])
  }

  @Test func `a clock that was read before the welcome does not matter`() {
    var core = core(at: 1_000_000)
    #expect(describe(core.tick(now: 999_900)) == [])
    #expect(describe(core.tick(now: 1_500_000)) == ["preparing, ready: false"])
  }

  @Test func `it hears the end of the run, and says goodbye`() {
    var core = core()
    #expect(describe(core.handle(stop())) == ["goodbye", "exit: all steps done"])
  }

  @Test func `the end of another run, or of another life of the server, is not its own`() {
    var core = core()
    #expect(describe(core.handle(stop(run: 8))) == [])
    #expect(describe(core.handle(stop(incarnation: 98))) == [])
  }

  @Test func `what else is said to it is not for it`() {
    var core = core()
    let restore = Restore(transfer: 1, steps: 0, isInitial: true)
    let header = Header(run: 7, view: 0, sender: .server, incarnation: 99)
    #expect(describe(core.handle(Message(header, .restore(restore)))) == [])
  }
}
