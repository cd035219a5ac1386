/// A member's sign of life, from its socket thread, with what it has done lately and what it is
/// waiting for. A healthy socket says nothing about a hung layer, hence the progress.
package struct Heartbeat: Hashable, Sendable {
  /// Waits that a heartbeat carries at most: its header frame is bounded, the number of members a
  /// node may wait for is not.
  package static let mostWaits = 16

  /// Whether the node is prepared (data open, memory planned) and can take part in a view.
  package var ready: Bool
  /// What a ready worker trains on; `nil` from others.
  package var dataset: DatasetFacts?
  /// The shard groups that a worker's machine has whole, ascending; empty where the data are not
  /// cut into groups.
  package var heldGroups: [Int]
  /// The last `Restore` an FC node has carried out; 0 if it holds what it began with.
  package var restored: UInt32
  package var turn: UInt64
  /// "conv forward", "waiting for fc" ...
  package var phase: String
  /// Since the core last moved.
  package var millisecondsSinceProgress: UInt64
  package var telemetry: Telemetry
  package var waits: [Wait]
  package init(
    ready: Bool, dataset: DatasetFacts?, restored: UInt32 = 0, turn: UInt64, phase: String,
    millisecondsSinceProgress: UInt64, telemetry: Telemetry, waits: [Wait], heldGroups: [Int] = []
  ) {
    self.ready = ready
    self.dataset = dataset
    self.restored = restored
    self.turn = turn
    self.phase = phase
    self.millisecondsSinceProgress = millisecondsSinceProgress
    self.telemetry = telemetry
    self.waits = waits
    self.heldGroups = heldGroups
  }
}

/// Where a node's time and bytes go.
package struct Telemetry: Hashable, Sendable {
  /// Mean milliseconds a step of the last interval, by what the node did.
  package var stepMilliseconds: StepTimes
  package var bytesSent: UInt64
  package var bytesReceived: UInt64
  package var residentBytes: UInt64
  /// Messages refused so far: malformed, foreign, stale, too large.
  package var droppedMessages: UInt64
  /// Largest time between two turns of the socket thread's loop, in the last interval.
  package var largestGapMilliseconds: Double
  /// Images a second that a worker's loader can make ready while it is at work; 0 from others.
  package var loaderImagesPerSecond: Double
  /// Images a second that the worker has taken from it over the last seconds.
  package var takenImagesPerSecond: Double
  /// Different examples that a worker's loader could not read so far, and gave others for.
  package var brokenExamples: UInt64

  package init(
    stepMilliseconds: StepTimes = StepTimes(), bytesSent: UInt64 = 0, bytesReceived: UInt64 = 0,
    residentBytes: UInt64 = 0, droppedMessages: UInt64 = 0, largestGapMilliseconds: Double = 0,
    loaderImagesPerSecond: Double = 0, takenImagesPerSecond: Double = 0,
    brokenExamples: UInt64 = 0
  ) {
    self.stepMilliseconds = stepMilliseconds
    self.bytesSent = bytesSent
    self.bytesReceived = bytesReceived
    self.residentBytes = residentBytes
    self.droppedMessages = droppedMessages
    self.largestGapMilliseconds = largestGapMilliseconds
    self.loaderImagesPerSecond = loaderImagesPerSecond
    self.takenImagesPerSecond = takenImagesPerSecond
    self.brokenExamples = brokenExamples
  }
}

/// A step split by what a node did, milliseconds. A worker fills the first five, an FC node
/// `compute` and `waitingForPeers`, the server `compute`.
package struct StepTimes: Hashable, Sendable {
  package var data = 0.0
  package var convolutionForward = 0.0
  package var waitingForFC = 0.0
  package var convolutionBackward = 0.0
  package var waitingForParameters = 0.0
  package var compute = 0.0
  package var waitingForPeers = 0.0
  package init() {}
}

/// Something a node waits for: an entry with an owner, a name and a time of asking.
package struct Wait: Hashable, Sendable {
  /// Who is waited for.
  package enum Owner: Hashable, Sendable {
    case member(NodeName)
    /// The node itself: its loader, its compute thread.
    case own(String)
    /// Somebody who has not come yet: "1 more worker".
    case absent(String)
  }
  package var owner: Owner
  /// "gradient of conv4 chunk 2, step 812".
  package var what: String
  package var milliseconds: UInt64
  package init(owner: Owner, what: String, milliseconds: UInt64) {
    self.owner = owner
    self.what = what
    self.milliseconds = milliseconds
  }
}

extension Wait.Owner: CustomStringConvertible {
  package var description: String {
    switch self {
    case .member(let name): "\(name)"
    case .own(let part): part
    case .absent(let who): who
    }
  }
}
