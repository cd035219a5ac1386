package import Tensors

/// One message between two processes: who says it in which run and view, what it says, and the
/// bulk tensors that follow it as raw frames.
package struct Message: Sendable {
  package var header: Header
  package var body: Body
  /// Raw frames of at most `Limits.frameBytes` each; what they hold is said at each body.
  package var frames: [Frame]

  package init(_ header: Header, _ body: Body, frames: [Frame] = []) {
    self.header = header
    self.body = body
    self.frames = frames
  }

  /// Bytes of the bulk frames.
  package var frameBytes: Int { frames.reduce(0) { $0 + $1.byteCount } }
}

/// What every message carries, so that a stale, foreign or replayed one is recognised.
package struct Header: Hashable, Sendable {
  /// Random number of the run; 0 before a node has been welcomed and from observers.
  package var run: UInt64
  /// The sender's view; 0 for messages that belong to no view.
  package var view: UInt32
  package var sender: NodeID
  /// Random id of the sender's process life.
  package var incarnation: UInt64

  package init(run: UInt64, view: UInt32, sender: NodeID, incarnation: UInt64) {
    self.run = run
    self.view = view
    self.sender = sender
    self.incarnation = incarnation
  }
}

/// Bounds that every sender keeps and every receiver enforces.
package enum Limits {
  /// Version of the wire contract; peers of another version are refused.
  package static let protocolVersion: UInt32 = 1
  /// Largest protobuf header frame.
  package static let headerBytes = 64 * 1024
  /// Largest bulk frame: larger tensors are cut by rows, so that no message holds a link up.
  package static let frameBytes = 4 * 1024 * 1024
  /// Most bulk frames behind one header.
  package static let frames = 1024
  /// Most changes of the learning rate that a view or an advance carries.
  package static let rateChanges = 8
  /// Most turns that a trace covers.
  package static let traceTurns = 64
  /// Longest string in a header.
  package static let stringBytes = 4096
  /// Pictures of the evaluation set that are shown with the network's guesses.
  package static let sampleRows = 12
  /// Longest side of one.
  package static let sampleSide = 64
  /// Guesses of each.
  package static let sampleClasses = 5
  /// Most of a node's log that is kept for others, and sent at once.
  package static let logBytes = 64 * 1024

  /// As much of a text as goes into a header: one that is too long would silence the whole message.
  static func clipped(_ text: String) -> String {
    guard text.utf8.count > stringBytes else { return text }
    // Room for a character that was cut, and for the sign that something is missing.
    return String(decoding: text.utf8.prefix(stringBytes - 8), as: UTF8.self) + "\u{2026}"
  }
}

/// The messages, one case each.
package enum Body: Sendable, Hashable {
  // Membership, on the control connection.
  case join(Join)
  /// Frame 0: the run configuration, JSON.
  case welcome(Welcome)
  case refusal(Refusal)
  case view(View)
  case heartbeat(Heartbeat)
  case advance(Advance)
  case leave(Leave)
  case stop(Stop)
  case goodbye

  // Convolutional parameters, on the bulk connection.
  /// Frame 0: the chunk's floats. None if `chunk` is nil.
  case push(Push)
  /// Frame 0: the chunk's floats.
  case parameters(Parameters)
  /// From a worker to a shard.
  case pull
  /// From a shard to the coordinator, on the control connection.
  case applied(Applied)

  // Activations, between workers and FC nodes.
  /// Frame 0: `[rows]` labels, 32-bit, -1 for padding. Then `[rows, columns]` floats in row blocks.
  case activations(Activations)
  /// `[rows, columns]` floats in row blocks.
  case featureGradients(FeatureGradients)

  // Among FC nodes.
  /// Floats in row blocks; what they are follows from the exchange's index.
  case exchange(Exchange)

  // From FC nodes and shards to the server.
  /// Frame 0: `[rows]` counts, 32-bit: this slice's logits above the true one; -1 for padding.
  case report(Report)
  /// On the control connection.
  case fault(Fault)
  /// The slice's floats in row blocks. From the server too, when it gives parameters back.
  case slice(Slice)

  // From workers and FC nodes to the server, for people to look at.
  /// Frames: labels, pixels, names of the classes if they have any.
  case pictures(Pictures)
  /// Frames: classes, probabilities.
  case guesses(Guesses)

  // From the server to FC nodes and shards, on the control connection.
  case collect(Collect)
  case restore(Restore)
  /// From the server to any member.
  case drill(Drill)
  /// From any member to the server, on the control connection.
  case complaint(Complaint)

  // Observers.
  case statusRequest
  /// Frames: the status record as JSON, cut where it must be.
  case statusReply
  case commandRequest(OperatorCommand)
  /// Frames: after a trace the trace as JSON, cut where it must be.
  case commandReply(CommandReply)
  case logRequest(LogRequest)
  /// Frame 0: lines of text, if there are any.
  case logReply(LogReply)

  // Traces, on the control connection.
  case traceRequest(TraceRequest)
  /// Frames: the spans as JSON, cut where it must be.
  case traceReport(TraceReport)
}

/// A process asks to become a member.
package struct Join: Hashable, Sendable {
  package var role: Role
  package var host: String
  package var processID: Int32
  package var softwareVersion: String
  /// Where an FC node or a shard listens; empty for workers.
  package var endpoint: String
  /// The rank it would like (the launcher numbers its children); -1 for any.
  package var preferredRank: Int32
  /// Whether it does faults to itself when an operator asks for it.
  package var allowsDrills: Bool

  package init(
    role: Role, host: String, processID: Int32, softwareVersion: String, endpoint: String,
    preferredRank: Int32, allowsDrills: Bool = false
  ) {
    self.allowsDrills = allowsDrills
    self.role = role
    self.host = host
    self.processID = processID
    self.softwareVersion = softwareVersion
    self.endpoint = endpoint
    self.preferredRank = preferredRank
  }
}

/// The server accepts a member; the run configuration follows as frame 0.
package struct Welcome: Hashable, Sendable {
  package var node: NodeID
  /// The rank it has within its role; an FC node's is its slice.
  package var rank: Int
  package init(node: NodeID, rank: Int) {
    self.node = node
    self.rank = rank
  }
}

/// The server does not accept a member, and says why.
package struct Refusal: Hashable, Sendable {
  package var reason: String
  /// Whether a new `Join` may be welcome: what is over is only the node's present membership.
  package var mayJoinAgain: Bool
  package init(reason: String, mayJoinAgain: Bool = false) {
    self.reason = Limits.clipped(reason)
    self.mayJoinAgain = mayJoinAgain
  }
}

/// A turn has been committed: everybody may work on turn `turn`, and turn `turn - 1` is final.
package struct Advance: Hashable, Sendable {
  package var turn: UInt64
  /// How often the validation error has lowered the learning rate so far.
  package var rateReductions: Int
  /// What an operator has made of the learning rate; those changes that are over are left out.
  package var rateChanges: [RateChange]
  package init(turn: UInt64, rateReductions: Int = 0, rateChanges: [RateChange] = []) {
    self.turn = turn
    self.rateReductions = rateReductions
    self.rateChanges = rateChanges
  }
}

/// A member announces that it goes.
package struct Leave: Hashable, Sendable {
  package var reason: String
  /// Whoever took its place would fare no better: the run ends, and the member goes with it.
  package var endsRun: Bool
  package init(reason: String, endsRun: Bool = false) {
    self.reason = Limits.clipped(reason)
    self.endsRun = endsRun
  }
}

/// The server ends the run.
package struct Stop: Hashable, Sendable {
  package enum Outcome: String, Hashable, Sendable, CaseIterable {
    /// All steps done.
    case finished
    /// Somebody asked for the end.
    case interrupted
    /// The run cannot go on.
    case failed
  }
  package var outcome: Outcome
  package var reason: String
  package init(outcome: Outcome, reason: String) {
    self.outcome = outcome
    self.reason = Limits.clipped(reason)
  }
}

/// A worker's gradient of one chunk, summed over its share, or (chunk nil) its word that it has
/// done its part of an evaluation turn.
package struct Push: Hashable, Sendable {
  package var turn: UInt64
  package var chunk: Int?
  package init(turn: UInt64, chunk: Int?) {
    self.turn = turn
    self.chunk = chunk
  }
}

/// One chunk of the parameters after `version` steps.
package struct Parameters: Hashable, Sendable {
  package var version: UInt64
  package var chunk: Int
  package init(version: UInt64, chunk: Int) {
    self.version = version
    self.chunk = chunk
  }
}

/// A server shard has stepped every chunk that it owns.
package struct Applied: Hashable, Sendable {
  package var turn: UInt64
  package init(turn: UInt64) { self.turn = turn }
}

/// A block of rows of the global batch.
package struct RowBlock: Hashable, Sendable {
  /// First row's position in the global batch.
  package var firstRow: Int
  package var rows: Int
  package var columns: Int
  package init(firstRow: Int, rows: Int, columns: Int) {
    self.firstRow = firstRow
    self.rows = rows
    self.columns = columns
  }
}

/// A worker's features for one FC node: only that node's columns.
package struct Activations: Hashable, Sendable {
  package var turn: UInt64
  package var subBatch: Int
  package var block: RowBlock
  package init(turn: UInt64, subBatch: Int, block: RowBlock) {
    self.turn = turn
    self.subBatch = subBatch
    self.block = block
  }
}

/// The finished gradient of a worker's features, one FC node's columns.
package struct FeatureGradients: Hashable, Sendable {
  package var turn: UInt64
  package var subBatch: Int
  package var block: RowBlock
  package init(turn: UInt64, subBatch: Int, block: RowBlock) {
    self.turn = turn
    self.subBatch = subBatch
    self.block = block
  }
}

/// What one FC node gives another between two segments of computation.
package struct Exchange: Hashable, Sendable {
  package var turn: UInt64
  package var subBatch: Int
  /// Exchange `i` follows segment `i`.
  package var index: Int
  package init(turn: UInt64, subBatch: Int, index: Int) {
    self.turn = turn
    self.subBatch = subBatch
    self.index = index
  }
}

/// An FC node's measure of a turn.
package struct Report: Hashable, Sendable {
  package var turn: UInt64
  package var subBatch: Int
  /// Sum over the examples of the cross-entropy; the same on every FC node.
  package var lossSum: Double
  /// Examples counted (padding left out).
  package var examples: Int
  package init(turn: UInt64, subBatch: Int, lossSum: Double, examples: Int) {
    self.turn = turn
    self.subBatch = subBatch
    self.lossSum = lossSum
    self.examples = examples
  }
}

/// An FC node has met a number in a training turn that is infinite or not a number. It gives no
/// feature gradients of the turn, so that nobody can commit it.
package struct Fault: Hashable, Sendable {
  package var turn: UInt64
  /// Who made the number: the sender, or the worker whose features it was given.
  package var culprit: NodeID
  /// How deep in the turn's computation the number was met: of several nodes' faults the smallest
  /// is the cause.
  package var depth: Int
  /// "the outputs of fc6 are nan".
  package var what: String
  package init(turn: UInt64, culprit: NodeID, depth: Int, what: String) {
    self.turn = turn
    self.culprit = culprit
    self.depth = depth
    self.what = what
  }
}
