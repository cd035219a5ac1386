import Messages
import Testing

@testable import Observability

@Suite struct WhyReportTests {
  private func report(server: [Wait], _ nodes: [NodeRecord]) -> WhyReport {
    WhyReport(serverWaits: server.map { WaitRecord($0) }, nodes: nodes)
  }

  private func own(_ part: String, _ what: String, _ milliseconds: UInt64) -> Wait {
    Wait(owner: .own(part), what: what, milliseconds: milliseconds)
  }

  @Test func `the chain is followed to who computes`() {
    let why = report(
      server: [
        wait(.worker, 1, "gradient of conv4 chunk 2, step 812", 3100),
        wait(.worker, 1, "gradient of conv3 chunk 0, step 812", 3050),
      ],
      [
        exampleNode(.worker, 0),
        exampleNode(
          .worker, 1, waits: [wait(.fc, 0, "gradient of features, turn 812", 3000)]),
        exampleNode(.fc, 0, waits: [own("compute thread", "segment 3", 2900)]),
      ])
    #expect(
      why.render() == """
        server waits 3.1 s for worker 1: gradient of conv4 chunk 2, step 812 (and 1 more)
          worker 1 waits 3.0 s for fc 0: gradient of features, turn 812
            fc 0 waits 2.9 s for its own compute thread: segment 3
        root cause: fc 0 waits for its own compute thread: segment 3 (2.9 s)

        """)
    #expect(why.rootCauseLine == "fc 0 waits for its own compute thread: segment 3 (2.9 s)")
  }

  @Test(arguments: [
    (NodeRecord.State.silent, "fc 1 on host1 is silent since 4.2 s"),
    (.gone, "fc 1 on host1 is gone"),
    (.joined, "fc 1 has joined but is in no view yet"),
  ])
  func `who is silent or gone is the root cause, whatever it last said`(
    state: NodeRecord.State, cause: String
  ) {
    var silent = exampleNode(.fc, 1, state, waits: [wait(.fc, 0, "exchange 1", 10)])
    silent.heartbeatAgeMilliseconds = 4200
    let why = report(
      server: [wait(.fc, 1, "report of turn 5", 4000)],
      [silent, exampleNode(.fc, 0, waits: [wait(.fc, 1, "exchange 1", 4100)])])
    #expect(
      why.render() == """
        server waits 4.0 s for fc 1: report of turn 5
        fc 0 waits 4.1 s for fc 1: exchange 1 (see above)
        root cause: \(cause)

        """)
  }

  @Test func `a node that waits for nobody and does nothing is named with its phase`() {
    var node = exampleNode(.worker, 0)
    node.phase = "conv backward"
    node.millisecondsSinceProgress = 61_000
    let why = report(server: [wait(.worker, 0, "gradient of conv1", 60_000)], [node])
    #expect(
      why.rootCauses == [
        "worker 0 (conv backward) waits for nobody and has made no progress for 1 min 01 s"
      ])
  }

  @Test func `who is not known is the root cause`() {
    let why = report(server: [wait(.worker, 7, "gradient of conv1", 100)], [])
    #expect(why.rootCauses == ["worker 7 is not in the cluster"])
  }

  @Test func `who has not come is the root cause`() {
    let why = report(
      server: [Wait(owner: .absent("1 more fc node"), what: "to join", milliseconds: 12_300)], [])
    #expect(
      why.render() == """
        server waits 12 s for 1 more fc node: to join
        root cause: 1 more fc node has not come (server waits for it since 12 s)

        """)
  }

  @Test func `two who have not come are more than one`() {
    let why = report(
      server: [Wait(owner: .absent("2 more workers"), what: "to join", milliseconds: 12_300)], [])
    #expect(
      why.rootCauses == ["2 more workers have not come (server waits for them since 12 s)"],
      "\(why.rootCauses)")
  }

  @Test func `a circle is reported as one`() {
    let why = report(
      server: [wait(.worker, 0, "gradient of conv1", 900)],
      [
        exampleNode(.worker, 0, waits: [wait(.fc, 0, "gradient of features", 800)]),
        exampleNode(.fc, 0, waits: [wait(.fc, 1, "exchange 2", 700)]),
        exampleNode(.fc, 1, waits: [wait(.worker, 0, "activations", 600)]),
      ])
    #expect(
      why.render() == """
        server waits 0.9 s for worker 0: gradient of conv1
          worker 0 waits 0.8 s for fc 0: gradient of features
            fc 0 waits 0.7 s for fc 1: exchange 2
              fc 1 waits 0.6 s for worker 0: activations (a circle)
        root cause: a circle: worker 0 -> fc 0 -> fc 1 -> worker 0

        """)
  }

  @Test func `a circle through the server is one too`() {
    let why = report(
      server: [wait(.worker, 0, "gradient of conv1", 900)],
      [exampleNode(.worker, 0, waits: [wait(.server, 0, "parameters of conv1", 800)])])
    #expect(why.rootCauses == ["a circle: server -> worker 0 -> server"])
  }

  @Test func `of several root causes the longest wait comes first`() {
    let why = report(
      server: [
        wait(.worker, 0, "gradient of conv1", 50), wait(.worker, 1, "gradient of conv1", 5000),
      ],
      [
        exampleNode(.worker, 0, waits: [own("loader", "batch of turn 9", 40)]),
        exampleNode(
          .worker, 1,
          waits: [wait(.fc, 0, "gradient of features", 4900), own("loader", "batch", 10)]),
        exampleNode(.fc, 0, .silent),
      ])
    #expect(
      why.rootCauses == [
        "fc 0 on host0 is silent since 0.2 s",
        "worker 0 waits for its own loader: batch of turn 9 (<0.1 s)",
        "worker 1 waits for its own loader: batch (<0.1 s)",
      ])
  }

  @Test func `two who wait for the same node show it once`() {
    let why = report(
      server: [],
      [
        exampleNode(.worker, 0, waits: [wait(.fc, 0, "gradient of features", 500)]),
        exampleNode(.worker, 1, waits: [wait(.fc, 0, "gradient of features", 400)]),
        exampleNode(.fc, 0, waits: [own("compute thread", "segment 0", 300)]),
      ])
    #expect(
      why.render() == """
        worker 0 waits 0.5 s for fc 0: gradient of features
          fc 0 waits 0.3 s for its own compute thread: segment 0
        worker 1 waits 0.4 s for fc 0: gradient of features (see above)
        root cause: fc 0 waits for its own compute thread: segment 0 (0.3 s)

        """)
  }

  @Test func `own work that nobody waits for is no news`() {
    let why = report(
      server: [], [exampleNode(.worker, 0, waits: [own("compute thread", "conv1", 30)])])
    #expect(why.render() == "nobody waits for anybody\n")
    #expect(why.rootCauseLine == nil)
  }

  @Test func `a rank's living holder counts, not its dead one`() {
    let why = report(
      server: [wait(.fc, 0, "report of turn 5", 400)],
      [
        exampleNode(.fc, 0, waits: [own("compute thread", "segment 1", 100)]),
        exampleNode(.fc, 0, .gone),
      ])
    #expect(why.rootCauses == ["fc 0 waits for its own compute thread: segment 1 (0.1 s)"])
  }

  @Test func `what nodes say cannot steer the terminal`() {
    let why = report(
      server: [wait(.fc, 0, "report\u{1B}[2J\nroot cause: me", 400)], [exampleNode(.fc, 0, .gone)])
    #expect(why.lines[0] == "server waits 0.4 s for fc 0: report?[2J?root cause: me")
  }
}
