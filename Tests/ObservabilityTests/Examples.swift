import Messages

@testable import Observability

/// A run of 2 workers and 2 FC nodes, in the middle.
func exampleRecord() -> StatusRecord {
  var record = StatusRecord(run: 0x3F2A_0001, name: "fashion")
  record.state = .running
  record.turn = 830
  record.step = 812
  record.totalSteps = 2345
  record.epoch = 1.7316
  record.totalEpochs = 5
  record.loss = 0.41237
  record.accuracy = 0.8523
  record.testStep = 600
  record.testAccuracy = 0.8471
  record.testTop5 = 0.9921
  record.testLoss = 0.4312
  record.learningRate = 0.01
  record.imagesPerSecond = 1523.4
  record.etaSeconds = 128.8
  record.elapsedSeconds = 68.2
  record.view = 3
  record.workersWanted = 2
  record.fcNodesWanted = 2
  record.nodes = [
    exampleNode(.worker, 0), exampleNode(.worker, 1), exampleNode(.fc, 0), exampleNode(.fc, 1),
  ]
  record.events = [EventRecord(secondsSinceStart: 2.1, text: "view 3: worker 1 joined")]
  return record
}

func exampleNode(
  _ role: Role, _ rank: Int, _ state: NodeRecord.State = .active, waits: [Wait] = []
) -> NodeRecord {
  var node = NodeRecord(
    name: NodeName(role, rank), node: NodeID(UInt32(rank + (role == .fc ? 3 : 1))),
    host: "host\(rank)", processID: 4711, state: state)
  var times = StepTimes()
  if role == .worker {
    times.data = 0.12
    times.convolutionForward = 20.4
    times.waitingForFC = 9
    times.convolutionBackward = 41.26
    times.waitingForParameters = 3.3
  } else {
    times.compute = 8.04
    times.waitingForPeers = 66
  }
  let telemetry = Telemetry(
    stepMilliseconds: times, bytesSent: 1_234_567, bytesReceived: 98_765_432,
    residentBytes: 183_000_000, droppedMessages: 0, largestGapMilliseconds: 4)
  node.update(
    with: Heartbeat(
      ready: true, dataset: nil, turn: 830, phase: "conv forward", millisecondsSinceProgress: 12,
      telemetry: telemetry,
      waits: waits), ageMilliseconds: 210)
  return node
}

/// A wait for a member.
func wait(_ role: Role, _ rank: Int, _ what: String, _ milliseconds: UInt64) -> Wait {
  Wait(owner: .member(NodeName(role, rank)), what: what, milliseconds: milliseconds)
}
