import Messages
import Observability
import Testing

@Suite struct DrillReportTests {
  private static func status(
    run: UInt64 = 7, step: UInt64, view: UInt32 = 1, workers: Int = 2, fcNodes: Int = 2,
    shards: Int = 0, events: [(Double, String)] = []
  ) -> StatusRecord {
    var record = StatusRecord(run: run, name: "tiny")
    record.state = view > 0 ? .running : .gathering
    record.step = step
    record.turn = step
    record.view = view
    record.loss = 1 / Double(step + 1)
    for (role, count) in [(Role.worker, workers), (.fc, fcNodes), (.shard, shards)] {
      for rank in 0..<count {
        record.nodes.append(
          NodeRecord(
            name: NodeName(role, rank), node: NodeID(1), host: "host", processID: 1,
            state: view > 0 ? .active : .joined))
      }
    }
    record.events = events.map {
      EventRecord(secondsSinceStart: $0.0, text: $0.1, kind: EventRecord.Kind(note: $0.1))
    }
    return record
  }

  private static let worker = NodeName(.worker, 1)

  @Test func `the times of a killed worker are the server's and the observer's`() {
    var report = DrillReport(
      Drill(kind: .kill), at: Self.worker, before: Self.status(step: 100), begun: 1000)
    let events = [
      (10.0, "worker 0 is gone: long ago"), (50.0, "operator: drill at worker 1: kill"),
      (50.25, "worker 1 is gone: its connection closed"), (50.25, "view 2: worker 0"),
    ]
    report.observe(Self.status(step: 101, events: Array(events.prefix(2))), at: 1000.1)
    #expect(report.noticed == nil)
    report.observe(Self.status(step: 102, view: 2, workers: 1, events: events), at: 1000.3)
    report.observe(Self.status(step: 103, view: 2, workers: 1, events: events), at: 1000.4)
    #expect(!report.isComplete(at: 1000.4))
    report.observe(Self.status(step: 110, view: 3, events: events), at: 1002)
    #expect(!report.isComplete(at: 1002))
    report.observe(Self.status(step: 160, view: 3, events: events), at: 1003)
    #expect(report.isComplete(at: 1003))
    #expect(report.noticed?.seconds == 0.25)
    #expect(report.stepsRepeated == 0)
    #expect(
      report.text == """
        drill at worker 1: kill
          noticed   after 0.25 s: worker 1 is gone: its connection closed
          training  again after 0.4 s
          whole     again after 2.0 s: as many nodes as before
          repeated  at most the step under way
          loss      0.0099 before, 0.0062 after (means of up to 50 steps)
          messages  0 refused by the nodes meanwhile

        """)
  }

  @Test func `steps that are done again after a killed fc node are counted`() {
    var report = DrillReport(
      Drill(kind: .kill), at: NodeName(.fc, 0), before: Self.status(step: 130), begun: 0)
    let events = [
      (5.0, "operator: drill at fc 0: kill"), (5.01, "fc 0 is gone: its connection closed"),
    ]
    report.observe(Self.status(step: 137, events: events), at: 0.1)
    report.observe(Self.status(step: 100, view: 3, fcNodes: 1, events: events), at: 0.2)
    report.observe(Self.status(step: 104, view: 3, events: events), at: 0.6)
    report.observe(Self.status(step: 160, view: 3, events: events), at: 0.9)
    #expect(report.stepsRepeated == 37)
    #expect(report.trainedAgain == 0.6)
    #expect(report.isComplete(at: 0.9))
    #expect(report.text.contains("37 steps that were done"))
  }

  @Test func `a server that comes back is another run, after the time it did not answer`() {
    var report = DrillReport(
      Drill(kind: .kill), at: .server, before: Self.status(step: 500), begun: 0)
    report.observe(Self.status(step: 500), at: 0.02)
    report.observe(nil, at: 0.5)
    report.observe(nil, at: 1)
    #expect(!report.isComplete(at: 1))
    #expect(report.text.contains("the server did not answer after 0.5 s"))
    report.observe(Self.status(run: 8, step: 400, view: 0, workers: 0, fcNodes: 0), at: 2)
    report.observe(Self.status(run: 8, step: 400), at: 2.5)
    report.observe(Self.status(run: 8, step: 401), at: 3)
    report.observe(Self.status(run: 8, step: 460), at: 4)
    #expect(report.isComplete(at: 4))
    #expect(report.trainedAgain == 3)
    #expect(report.stepsRepeated == 100)
    #expect(report.text.contains(Self.replaced))
  }

  private static let replaced =
    "  noticed   after 2.0 s: another server answered, the one before it for the last time after 20 ms"

  @Test func `a server that is back before anybody asks is reported in the same words`() {
    var report = DrillReport(
      Drill(kind: .kill), at: .server, before: Self.status(step: 500), begun: 0)
    report.observe(Self.status(step: 500), at: 0.02)
    report.observe(Self.status(run: 8, step: 400), at: 2)
    #expect(report.text.contains(Self.replaced))
  }

  @Test func `a fault that nobody notices is over a while after its end`() {
    var report = DrillReport(
      Drill(kind: .delay, milliseconds: 2000), at: Self.worker, before: Self.status(step: 1),
      begun: 0)
    report.observe(Self.status(step: 50), at: 1)
    report.observe(Self.status(step: 60), at: 3)
    #expect(!report.isComplete(at: 3))
    report.observe(Self.status(step: 90), at: 7)
    #expect(report.isComplete(at: 7))
    #expect(report.text.contains("not at all: nothing had to be done"))
    #expect(report.text.contains("training  went on"))
    #expect(report.text.contains("whole     all the time"))
  }

  @Test func `what a gathering server does not know yet is no repeated work`() {
    var report = DrillReport(
      Drill(kind: .kill), at: .server, before: Self.status(step: 3667), begun: 0)
    report.observe(Self.status(run: 8, step: 0, view: 0, workers: 0, fcNodes: 0), at: 1)
    #expect(report.stepsRepeated == 0)
    report.observe(Self.status(run: 8, step: 3600), at: 2)
    report.observe(Self.status(run: 8, step: 3610), at: 3)
    report.observe(Self.status(run: 8, step: 3660), at: 4)
    #expect(report.stepsRepeated == 67)
    #expect(report.isGood(at: 4))
  }

  @Test func `a server that nobody starts again is no cluster as it was`() {
    var report = DrillReport(
      Drill(kind: .kill), at: .server, before: Self.status(step: 500), begun: 0)
    report.observe(Self.status(step: 501), at: 0.1)
    for second in 1..<120 { report.observe(nil, at: Double(second)) }
    #expect(!report.isComplete(at: 120) && !report.isGood(at: 120))
    #expect(
      report.text == """
        drill at server: kill
          noticed   the server did not answer after 1.0 s
          training  not again: no server answers
          whole     no: no server answers
          repeated  not known
          loss      0.002 before, none after
          messages  0 refused by the nodes meanwhile

        """)
  }

  @Test func `a cluster that commits nothing after a fault has not gone on`() {
    let drop = Drill(kind: .drop, milliseconds: 2000)
    var report = DrillReport(
      drop, at: NodeName(.fc, 0), before: Self.status(step: 3190), begun: 0)
    for tenth in 1..<90 {
      report.observe(Self.status(step: tenth < 5 ? 3191 : 3196), at: Double(tenth) / 10)
    }
    #expect(!report.isComplete(at: 9))
    #expect(report.text.contains("noticed   not yet"), "\(report.text)")
    #expect(report.text.contains("training  does not go on yet: no step since 0.5 s"))
    let events = [
      (50.0, "operator: drill at fc 0: drop"),
      (60.0, "no progress in turn 3196: they wait for each other"),
      (60.0, "running turn 3196 again"),
    ]
    report.observe(Self.status(step: 3196, view: 2, events: events), at: 10)
    report.observe(Self.status(step: 3197, view: 2, events: events), at: 10.1)
    report.observe(Self.status(step: 3260, view: 2, events: events), at: 11)
    #expect(report.isGood(at: 11))
    #expect(report.text.contains("noticed   after 10.0 s: no progress in turn 3196"))
    #expect(report.text.contains("training  again after 10.1 s"))
  }

  @Test func `how long training stood still is told`() {
    var report = DrillReport(
      Drill(kind: .hang, milliseconds: 3000), at: Self.worker, before: Self.status(step: 10),
      begun: 0)
    report.observe(Self.status(step: 11), at: 0.1)
    report.observe(Self.status(step: 11), at: 2)
    for step in 12..<60 {
      report.observe(Self.status(step: UInt64(step)), at: 3.2 + Double(step - 12) / 10)
    }
    #expect(report.isGood(at: 8))
    #expect(
      report.text.contains("training  stood still for 3.1 s, then went on"), "\(report.text)")
    #expect(report.text.contains("whole     all the time"), "\(report.text)")
  }

  @Test func `a cluster that only gathers was not trained, and is as before`() {
    let before = Self.status(step: 0, view: 0)
    var report = DrillReport(
      Drill(kind: .stop, milliseconds: 3000), at: .server, before: before, begun: 0)
    report.observe(nil, at: 1)
    report.observe(before, at: 3.1)
    #expect(!report.isComplete(at: 3.2))
    report.observe(before, at: 8)
    #expect(report.isGood(at: 8))
    #expect(report.text.contains("training  was not under way: gathering"), "\(report.text)")
  }

  @Test func `a cluster is whole again with its shards`() {
    var report = DrillReport(
      Drill(kind: .kill), at: Self.worker, before: Self.status(step: 100, shards: 1), begun: 0)
    let events = [
      (5.0, "operator: drill at worker 1: kill"), (5.1, "shard 1 is gone: its connection closed"),
    ]
    report.observe(Self.status(step: 100, view: 2, events: events), at: 1)
    report.observe(Self.status(step: 101, view: 2, events: events), at: 2)
    report.observe(Self.status(step: 180, view: 2, events: events), at: 3)
    #expect(report.trainedAgain == 2 && !report.isComplete(at: 3))
    report.observe(Self.status(step: 190, view: 3, shards: 1, events: events), at: 4)
    #expect(report.wholeAgain == 4 && report.isGood(at: 4))
  }

  @Test func `a run that fails is no cluster as it was`() {
    var report = DrillReport(
      Drill(kind: .kill), at: Self.worker, before: Self.status(step: 1), begun: 0)
    var failed = Self.status(step: 2)
    failed.state = .failed
    failed.message = "worker 1 is not started again"
    report.observe(failed, at: 1)
    #expect(report.isComplete(at: 1) && !report.isGood(at: 1))
    #expect(report.text.contains("training  ended: worker 1 is not started again"))
  }

  @Test func `a full disk loses nobody, so nobody comes again`() {
    var report = DrillReport(
      Drill(kind: .diskFull, milliseconds: 1000), at: .server, before: Self.status(step: 1),
      begun: 0)
    let events = [
      (5.0, "operator: drill at server: disk-full"),
      (5.1, "the checkpoint after 20 steps failed, training goes on: no space left"),
    ]
    report.observe(Self.status(step: 30, events: events), at: 0.5)
    report.observe(Self.status(step: 60, events: events), at: 1.5)
    report.observe(Self.status(step: 120, events: events), at: 3)
    #expect(report.isGood(at: 3))
    #expect(report.text.contains("training  went on"), "\(report.text)")
    #expect(report.text.contains("whole     all the time"), "\(report.text)")
  }

  @Test func `a full disk over which training went on is over a step after its end`() {
    var report = DrillReport(
      Drill(kind: .diskFull, milliseconds: 1000), at: .server, before: Self.status(step: 1),
      begun: 0)
    let events = [
      (5.0, "operator: drill at server: disk-full"),
      (5.1, "the checkpoint after 20 steps failed, training goes on: no space left"),
    ]
    for (step, time) in [(30, 0.5), (60, 0.6), (200, 0.9), (201, 1.01)] as [(UInt64, Double)] {
      report.observe(Self.status(step: step, events: events), at: time)
      #expect(!report.isComplete(at: time))
    }
    report.observe(Self.status(step: 202, events: events), at: 1.03)
    #expect(report.isComplete(at: 1.03))
    #expect(report.text.contains("training  went on"), "\(report.text)")
  }

  @Test func `a kill that nobody notices is not over`() {
    var report = DrillReport(
      Drill(kind: .kill), at: Self.worker, before: Self.status(step: 1), begun: 0)
    report.observe(Self.status(step: 50), at: 100)
    #expect(!report.isComplete(at: 1000))
  }
}
