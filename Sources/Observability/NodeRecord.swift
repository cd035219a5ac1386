package import Messages

extension Role: Codable {}

/// A node of the cluster in the status record.
package struct NodeRecord: Codable, Hashable, Sendable {
  /// What the server thinks of a node.
  package enum State: String, Codable, Hashable, Sendable, CaseIterable {
    /// Has joined, is in no view yet.
    case joined
    /// Takes part in the present view.
    case active
    /// Takes part, but no heartbeat has come for too long.
    case silent
    /// Has left or was given up.
    case gone
  }

  package var role: Role
  package var rank: Int
  /// The number the server gave it.
  package var node: UInt32
  package var host: String
  package var processID: Int32
  /// Where an FC node listens; left out of workers, who only dial out.
  package var endpoint: String?
  package var state: State
  /// Since its last heartbeat arrived.
  package var heartbeatAgeMilliseconds: UInt64 = 0
  /// The turn it works on.
  package var turn: UInt64 = 0
  /// What it is doing: "conv forward", "waiting for fc".
  package var phase = ""
  /// Since its core last moved, as it said in its last heartbeat.
  package var millisecondsSinceProgress: UInt64 = 0
  package var stepMilliseconds = StepTimesRecord(StepTimes())
  package var bytesSent: UInt64 = 0
  package var bytesReceived: UInt64 = 0
  package var residentBytes: UInt64 = 0
  /// Messages it has refused so far: malformed, foreign, stale, too large.
  package var droppedMessages: UInt64 = 0
  /// Largest time between two turns of its socket thread's loop, in the last interval.
  package var largestGapMilliseconds = 0.0
  /// Images a second that a worker's loader can make ready while it is at work; 0 for others.
  package var loaderImagesPerSecond = 0.0
  /// Images a second that the worker has taken from it, over the last seconds.
  package var takenImagesPerSecond = 0.0
  /// Different examples that its loader could not read so far, and gave others for; `nil` where
  /// there are none.
  package var brokenExamples: UInt64?
  package var waits: [WaitRecord] = []

  /// A node that has not sent a heartbeat yet.
  package init(name: NodeName, node: NodeID, host: String, processID: Int32, state: State) {
    role = name.role
    rank = name.rank
    self.node = node.value
    self.host = host
    self.processID = processID
    self.state = state
  }

  /// "worker 3", "fc 0".
  package var name: NodeName { NodeName(role, rank) }

  /// Takes over what a heartbeat says.
  ///
  /// - Parameter ageMilliseconds: since it arrived.
  package mutating func update(with heartbeat: Heartbeat, ageMilliseconds: UInt64) {
    heartbeatAgeMilliseconds = ageMilliseconds
    turn = heartbeat.turn
    phase = heartbeat.phase
    millisecondsSinceProgress = heartbeat.millisecondsSinceProgress
    stepMilliseconds = StepTimesRecord(heartbeat.telemetry.stepMilliseconds)
    bytesSent = heartbeat.telemetry.bytesSent
    bytesReceived = heartbeat.telemetry.bytesReceived
    residentBytes = heartbeat.telemetry.residentBytes
    droppedMessages = heartbeat.telemetry.droppedMessages
    largestGapMilliseconds = heartbeat.telemetry.largestGapMilliseconds
    loaderImagesPerSecond = heartbeat.telemetry.loaderImagesPerSecond
    takenImagesPerSecond = heartbeat.telemetry.takenImagesPerSecond
    let broken = heartbeat.telemetry.brokenExamples
    brokenExamples = broken == 0 ? nil : broken
    waits = heartbeat.waits.map { WaitRecord($0) }
  }
}

/// Mean milliseconds a step, by what the node did; 0 for what its role never does.
package struct StepTimesRecord: Codable, Hashable, Sendable {
  /// Waiting for the loader.
  package var data: Double
  package var convForward: Double
  package var waitingForFC: Double
  package var convBackward: Double
  package var waitingForParameters: Double
  /// An FC node's or the server's own work.
  package var compute: Double
  /// An FC node waiting for other FC nodes or for activations.
  package var waitingForPeers: Double

  package init(_ times: StepTimes) {
    data = times.data
    convForward = times.convolutionForward
    waitingForFC = times.waitingForFC
    convBackward = times.convolutionBackward
    waitingForParameters = times.waitingForParameters
    compute = times.compute
    waitingForPeers = times.waitingForPeers
  }
}

/// Something a node or the server waits for.
package struct WaitRecord: Codable, Hashable, Sendable {
  /// What kind of owner is waited for.
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Another node or the server; `owner` is its name.
    case member
    /// A part of the node itself: "loader", "compute thread".
    case own
    /// Somebody who has not come yet: "1 more worker".
    case absent
  }

  package var kind: Kind
  package var owner: String
  /// "gradient of conv4 chunk 2, step 812".
  package var what: String
  /// Since it was asked for.
  package var milliseconds: UInt64

  package init(_ wait: Wait) {
    kind =
      switch wait.owner {
      case .member: .member
      case .own: .own
      case .absent: .absent
      }
    owner = wait.owner.description
    what = wait.what
    milliseconds = wait.milliseconds
  }
}
