import Configuration
import Coordination
import Messages
import Observability
import Testing

@testable import Nodes

/// Whether a run waits in vain for a process that is not started again: of two workers and two FC
/// nodes, where a server goes on with fewer after 60 s.
@Suite struct VainWaitTests {
  private static func cluster(minimumWorkers: Int = 1) -> ClusterConfiguration {
    var cluster = ClusterConfiguration()
    cluster.workers = 2
    cluster.fcNodes = 2
    cluster.minimumWorkers = minimumWorkers
    return cluster
  }

  /// What the server says that waits for `absent` and for those who prepare.
  private static func record(
    _ state: StatusRecord.State = .gathering, workers: Int = 1, fcNodes: Int = 2,
    absent: [String] = ["1 more worker"], preparing: NodeName? = nil
  ) -> StatusRecord {
    var record = StatusRecord(run: 1, name: "tiny")
    record.state = state
    record.fcNodesWanted = 2
    record.serverWaits = absent.map {
      WaitRecord(Wait(owner: .absent($0), what: "to join", milliseconds: 0))
    }
    if let preparing {
      record.serverWaits.append(
        WaitRecord(Wait(owner: .member(preparing), what: "to be ready", milliseconds: 0)))
    }
    let names =
      (0..<workers).map { NodeName(.worker, $0) } + (0..<fcNodes).map { NodeName(.fc, $0) }
    record.nodes = names.enumerated().map { number, name in
      NodeRecord(
        name: name, node: NodeID(UInt32(number + 1)), host: "host", processID: 1, state: .joined)
    }
    return record
  }

  /// It says so each second.
  private static func wait(
    _ wait: inout VainWait, from start: Int, seconds: Int, _ record: StatusRecord
  ) {
    for second in start..<start + seconds {
      wait.take(record, now: UInt64(second) * 1_000_000)
    }
  }

  @Test func `a server that came back has its time to go on with fewer`() {
    var wait = VainWait(Self.cluster())
    Self.wait(&wait, from: 0, seconds: 120, Self.record())
    #expect(!wait.isLong(for: [.worker]))
    Self.wait(&wait, from: 120, seconds: 5, Self.record(.running, absent: []))
    Self.wait(&wait, from: 125, seconds: 120, Self.record())
    #expect(!wait.isLong(for: [.worker]))
    // It has not gone on by then: it cannot.
    Self.wait(&wait, from: 245, seconds: 3, Self.record())
    #expect(wait.isLong(for: [.worker]))
  }

  @Test func `as long as somebody prepares it is not in vain`() {
    var wait = VainWait(Self.cluster(minimumWorkers: 2))
    Self.wait(&wait, from: 0, seconds: 500, Self.record(preparing: NodeName(.fc, 0)))
    #expect(!wait.isLong(for: [.worker]))
  }

  @Test func `a run that waits for others misses nobody who is not needed`() {
    let record = Self.record(fcNodes: 1, absent: ["1 more worker", "1 more fc node"])
    var wait = VainWait(Self.cluster())
    Self.wait(&wait, from: 0, seconds: 500, record)
    #expect(!wait.isLong(for: [.worker]))
    #expect(wait.isLong(for: [.fc]))
    #expect(wait.isLong(for: [.worker, .fc]))
    #expect(!wait.isLong(for: [.shard]))
    wait = VainWait(Self.cluster(minimumWorkers: 2))
    Self.wait(&wait, from: 0, seconds: 500, record)
    #expect(wait.isLong(for: [.worker]))
  }

  @Test func `time in which nobody asked counts for next to nothing`() {
    var wait = VainWait(Self.cluster())
    wait.take(Self.record(), now: 0)
    wait.take(Self.record(), now: 500_000_000)
    #expect(!wait.isLong(for: [.worker]))
  }
}
