import CProtobufC
import CWire
import Messages

// Everything is copied out of the C structs, once. What protobuf-c does not check is checked
// here: missing parts, enum values, UTF-8. Ranges and relations follow in `checkContract`.

extension Body {
  init(_ envelope: Crosscut__V1__Envelope) throws(WireError) {
    switch envelope.body_case {
    case CROSSCUT__V1__ENVELOPE__BODY_JOIN:
      self = .join(try Join(try required(envelope.join, "join")))
    case CROSSCUT__V1__ENVELOPE__BODY_WELCOME:
      let value = try required(envelope.welcome, "welcome")
      self = .welcome(Welcome(node: NodeID(value.node), rank: Int(value.rank)))
    case CROSSCUT__V1__ENVELOPE__BODY_REFUSAL:
      let value = try required(envelope.refusal, "refusal")
      self = .refusal(
        Refusal(
          reason: try text(value.reason, "refusal.reason"),
          mayJoinAgain: value.may_join_again != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_MEMBERSHIP:
      self = .view(try View(try required(envelope.membership, "view")))
    case CROSSCUT__V1__ENVELOPE__BODY_HEARTBEAT:
      self = .heartbeat(try Heartbeat(try required(envelope.heartbeat, "heartbeat")))
    case CROSSCUT__V1__ENVELOPE__BODY_ADVANCE:
      let value = try required(envelope.advance, "advance")
      self = .advance(
        Advance(
          turn: value.turn, rateReductions: Int(value.rate_reductions),
          rateChanges: try RateChange.list(
            value.rate_changes, value.n_rate_changes, "advance.rate changes")))
    case CROSSCUT__V1__ENVELOPE__BODY_LEAVE:
      let value = try required(envelope.leave, "leave")
      self = .leave(
        Leave(
          reason: try text(value.reason, "leave.reason"), endsRun: value.ends_run != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_STOP:
      let value = try required(envelope.stop, "stop")
      self = .stop(
        Stop(
          outcome: try Stop.Outcome(value.outcome), reason: try text(value.reason, "stop.reason")))
    case CROSSCUT__V1__ENVELOPE__BODY_GOODBYE: self = .goodbye
    case CROSSCUT__V1__ENVELOPE__BODY_STATUS_REQUEST: self = .statusRequest
    case CROSSCUT__V1__ENVELOPE__BODY_STATUS_REPLY: self = .statusReply
    case CROSSCUT__V1__ENVELOPE__BODY_COMMAND_REQUEST:
      self = .commandRequest(
        try OperatorCommand(try required(envelope.command_request, "command request")))
    case CROSSCUT__V1__ENVELOPE__BODY_COMMAND_REPLY:
      let value = try required(envelope.command_reply, "command reply")
      self = .commandReply(
        CommandReply(text: try text(value.text, "command reply.text"), ok: value.ok != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_TRACE_REQUEST:
      let value = try required(envelope.trace_request, "trace request")
      self = .traceRequest(
        TraceRequest(turns: Int(value.turns), sentAt: value.sent_at))
    case CROSSCUT__V1__ENVELOPE__BODY_TRACE_REPORT:
      let value = try required(envelope.trace_report, "trace report")
      self = .traceReport(
        TraceReport(requestedAt: value.requested_at, sentAt: value.sent_at))
    case CROSSCUT__V1__ENVELOPE__BODY_LOG_REQUEST:
      let value = try required(envelope.log_request, "log request")
      self = .logRequest(
        LogRequest(
          node: try NodeName(value.node, "log request.node"), after: value.after,
          ticket: value.ticket))
    case CROSSCUT__V1__ENVELOPE__BODY_LOG_REPLY:
      let value = try required(envelope.log_reply, "log reply")
      self = .logReply(
        LogReply(
          ticket: value.ticket, last: value.last,
          problem: try text(value.problem, "log reply.problem")))
    default: self = try Body(bulk: envelope)
    }
  }

  private init(bulk envelope: Crosscut__V1__Envelope) throws(WireError) {
    switch envelope.body_case {
    case CROSSCUT__V1__ENVELOPE__BODY_PUSH:
      self = .push(try Push(try required(envelope.push, "push")))
    case CROSSCUT__V1__ENVELOPE__BODY_PARAMETERS:
      let value = try required(envelope.parameters, "parameters")
      self = .parameters(Parameters(version: value.version, chunk: Int(value.chunk)))
    case CROSSCUT__V1__ENVELOPE__BODY_PULL: self = .pull
    case CROSSCUT__V1__ENVELOPE__BODY_APPLIED:
      self = .applied(Applied(turn: try required(envelope.applied, "applied").turn))
    case CROSSCUT__V1__ENVELOPE__BODY_ACTIVATIONS:
      let value = try required(envelope.activations, "activations")
      self = .activations(
        Activations(
          turn: value.turn, subBatch: Int(value.sub_batch),
          block: RowBlock(try required(value.block, "activations.block"))))
    case CROSSCUT__V1__ENVELOPE__BODY_FEATURE_GRADIENTS:
      let value = try required(envelope.feature_gradients, "feature gradients")
      self = .featureGradients(
        FeatureGradients(
          turn: value.turn, subBatch: Int(value.sub_batch),
          block: RowBlock(try required(value.block, "feature gradients.block"))))
    case CROSSCUT__V1__ENVELOPE__BODY_EXCHANGE:
      let value = try required(envelope.exchange, "exchange")
      self = .exchange(
        Exchange(turn: value.turn, subBatch: Int(value.sub_batch), index: Int(value.index)))
    case CROSSCUT__V1__ENVELOPE__BODY_REPORT:
      let value = try required(envelope.report, "report")
      self = .report(
        Report(
          turn: value.turn, subBatch: Int(value.sub_batch), lossSum: value.loss_sum,
          examples: Int(value.examples)))
    case CROSSCUT__V1__ENVELOPE__BODY_SLICE:
      let value = try required(envelope.slice, "slice")
      self = .slice(
        Slice(
          transfer: value.transfer, number: Int(value.number), part: try Slice.Part(value.part),
          key: Int(value.key), firstRow: Int(value.first_row), rows: Int(value.rows),
          firstColumn: Int(value.first_column), columns: Int(value.columns),
          isLast: value.is_last != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_PICTURES:
      let value = try required(envelope.pictures, "pictures")
      self = .pictures(
        Pictures(
          firstRow: Int(value.first_row), rows: Int(value.rows), channels: Int(value.channels),
          height: Int(value.height), width: Int(value.width)))
    case CROSSCUT__V1__ENVELOPE__BODY_GUESSES:
      let value = try required(envelope.guesses, "guesses")
      self = .guesses(
        Guesses(step: value.step, rows: Int(value.rows), classes: Int(value.classes)))
    case CROSSCUT__V1__ENVELOPE__BODY_FAULT:
      let value = try required(envelope.fault, "fault")
      self = .fault(
        Fault(
          turn: value.turn, culprit: NodeID(value.culprit), depth: Int(value.depth),
          what: try text(value.what, "fault.what")))
    case CROSSCUT__V1__ENVELOPE__BODY_COLLECT:
      let value = try required(envelope.collect, "collect")
      self = .collect(
        Collect(transfer: value.transfer, turn: value.turn, mirrored: value.mirrored != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_RESTORE:
      let value = try required(envelope.restore, "restore")
      self = .restore(
        Restore(
          transfer: value.transfer, steps: value.steps, isInitial: value.is_initial != 0))
    case CROSSCUT__V1__ENVELOPE__BODY_DRILL:
      self = .drill(try Drill(try required(envelope.drill, "drill")))
    case CROSSCUT__V1__ENVELOPE__BODY_COMPLAINT:
      let value = try required(envelope.complaint, "complaint")
      self = .complaint(
        Complaint(node: NodeID(value.node), reason: try text(value.reason, "complaint.reason")))
    default: throw .missing(field: "body")
    }
  }
}

/// A repeated field of small numbers.
private func numbers(_ first: UnsafeMutablePointer<UInt32>?, _ count: Int) -> [Int] {
  UnsafeBufferPointer(start: first, count: first == nil ? 0 : count).map { Int($0) }
}

extension Join {
  init(_ value: Crosscut__V1__Join) throws(WireError) {
    self.init(
      role: try Role(value.role, "join.role"), host: try text(value.host, "join.host"),
      processID: value.process_id,
      softwareVersion: try text(value.software_version, "join.software version"),
      endpoint: try text(value.endpoint, "join.endpoint"), preferredRank: value.preferred_rank,
      allowsDrills: value.allows_drills != 0)
  }
}

extension View {
  init(_ value: Crosscut__V1__View) throws(WireError) {
    self.init(
      number: value.number, resumeTurn: value.resume_turn,
      workers: try Self.members(value.workers, value.n_workers, "view.workers"),
      fcNodes: try Self.members(value.fc_nodes, value.n_fc_nodes, "view.fc nodes"),
      shards: try Self.members(value.shards, value.n_shards, "view.shards"),
      dataset: DatasetFacts(try required(value.dataset, "view.dataset")),
      isFinal: value.is_final != 0, rateReductions: Int(value.rate_reductions),
      rateChanges: try RateChange.list(
        value.rate_changes, value.n_rate_changes, "view.rate changes"),
      skippedTurns: value.skipped_turns, holders: numbers(value.holders, value.n_holders))
  }

  private static func members(
    _ first: UnsafeMutablePointer<UnsafeMutablePointer<Crosscut__V1__Member>?>?, _ count: Int,
    _ field: StaticString
  ) throws(WireError) -> [Member] {
    var members: [Member] = []
    for pointer in UnsafeBufferPointer(start: first, count: first == nil ? 0 : count) {
      let value = try required(pointer, field)
      members.append(
        Member(
          node: NodeID(value.node), incarnation: value.incarnation,
          name: try NodeName(value.name, field), endpoint: try text(value.endpoint, field)))
    }
    return members
  }
}

extension OperatorCommand {
  init(_ value: Crosscut__V1__CommandRequest) throws(WireError) {
    switch value.command_case {
    case CROSSCUT__V1__COMMAND_REQUEST__COMMAND_STOP:
      self = .stop(reason: try text(value.stop, "command request.stop"))
    case CROSSCUT__V1__COMMAND_REQUEST__COMMAND_CHECKPOINT_NOW: self = .checkpointNow
    case CROSSCUT__V1__COMMAND_REQUEST__COMMAND_LEARNING_RATE:
      self = .setLearningRate(value.learning_rate)
    case CROSSCUT__V1__COMMAND_REQUEST__COMMAND_TRACE_TURNS:
      self = .trace(turns: Int(value.trace_turns))
    case CROSSCUT__V1__COMMAND_REQUEST__COMMAND_DRILL:
      let request = try required(value.drill, "command request.drill")
      self = .drill(
        try Drill(try required(request.drill, "command request.drill.drill")),
        target: try NodeName(request.target, "command request.drill.target"))
    default: throw .missing(field: "command request.command")
    }
  }
}

extension Drill {
  init(_ value: Crosscut__V1__Drill) throws(WireError) {
    self.init(
      kind: try Kind(value.kind), milliseconds: Int(value.milliseconds),
      percent: Int(value.percent), latencyMilliseconds: Int(value.latency_milliseconds))
  }
}

extension Drill.Kind {
  init(_ value: Crosscut__V1__DrillKind) throws(WireError) {
    guard let kind = Self.allCases.first(where: { $0.wire == value }) else {
      throw .invalid(field: "drill.kind", found: "kind \(value.rawValue)")
    }
    self = kind
  }
}

extension RateChange {
  fileprivate static func list(
    _ first: UnsafeMutablePointer<UnsafeMutablePointer<Crosscut__V1__RateChange>?>?, _ count: Int,
    _ field: StaticString
  ) throws(WireError) -> [RateChange] {
    var changes: [RateChange] = []
    for pointer in UnsafeBufferPointer(start: first, count: first == nil ? 0 : count) {
      let value = try required(pointer, field)
      changes.append(RateChange(firstStep: value.first_step, factor: value.factor))
    }
    return changes
  }
}

extension DatasetFacts {
  init(_ value: Crosscut__V1__DatasetFacts) {
    self.init(
      trainingExamples: value.training_examples, evaluationExamples: value.evaluation_examples,
      fingerprint: value.fingerprint)
  }
}

extension Heartbeat {
  init(_ value: Crosscut__V1__Heartbeat) throws(WireError) {
    var waits: [Wait] = []
    let count = value.waits == nil ? 0 : value.n_waits
    for pointer in UnsafeBufferPointer(start: value.waits, count: count) {
      waits.append(try Wait(try required(pointer, "heartbeat.waits")))
    }
    self.init(
      ready: value.ready != 0, dataset: value.dataset.map { DatasetFacts($0.pointee) },
      restored: value.restored, turn: value.turn,
      phase: try text(value.phase, "heartbeat.phase"),
      millisecondsSinceProgress: value.milliseconds_since_progress,
      telemetry: try Telemetry(try required(value.telemetry, "heartbeat.telemetry")),
      waits: waits, heldGroups: numbers(value.held_groups, value.n_held_groups))
  }
}

extension Telemetry {
  init(_ value: Crosscut__V1__Telemetry) throws(WireError) {
    let wire = try required(value.step_times, "heartbeat.telemetry.step times")
    var times = StepTimes()
    times.data = wire.data
    times.convolutionForward = wire.convolution_forward
    times.waitingForFC = wire.waiting_for_fc
    times.convolutionBackward = wire.convolution_backward
    times.waitingForParameters = wire.waiting_for_parameters
    times.compute = wire.compute
    times.waitingForPeers = wire.waiting_for_peers
    self.init(
      stepMilliseconds: times, bytesSent: value.bytes_sent, bytesReceived: value.bytes_received,
      residentBytes: value.resident_bytes, droppedMessages: value.dropped_messages,
      largestGapMilliseconds: value.largest_gap_milliseconds,
      loaderImagesPerSecond: value.loader_images_per_second,
      takenImagesPerSecond: value.taken_images_per_second,
      brokenExamples: value.broken_examples)
  }
}

extension Wait {
  init(_ value: Crosscut__V1__Wait) throws(WireError) {
    let owner: Owner
    switch value.owner_case {
    case CROSSCUT__V1__WAIT__OWNER_MEMBER:
      owner = .member(try NodeName(value.member, "wait.owner"))
    case CROSSCUT__V1__WAIT__OWNER_OWN: owner = .own(try text(value.own, "wait.owner"))
    case CROSSCUT__V1__WAIT__OWNER_ABSENT: owner = .absent(try text(value.absent, "wait.owner"))
    default: throw .missing(field: "wait.owner")
    }
    self.init(
      owner: owner, what: try text(value.what, "wait.what"), milliseconds: value.milliseconds)
  }
}

extension Push {
  init(_ value: Crosscut__V1__Push) throws(WireError) {
    switch value.subject_case {
    case CROSSCUT__V1__PUSH__SUBJECT_CHUNK: self.init(turn: value.turn, chunk: Int(value.chunk))
    case CROSSCUT__V1__PUSH__SUBJECT_EVALUATED: self.init(turn: value.turn, chunk: nil)
    default: throw .missing(field: "push.subject")
    }
  }
}

extension RowBlock {
  init(_ value: Crosscut__V1__RowBlock) {
    self.init(
      firstRow: Int(value.first_row), rows: Int(value.rows), columns: Int(value.columns))
  }
}

extension NodeName {
  init(
    _ pointer: UnsafeMutablePointer<Crosscut__V1__MemberName>?, _ field: StaticString
  ) throws(WireError) {
    let value = try required(pointer, field)
    self.init(try Role(value.role, field), Int(value.rank))
  }
}

extension Role {
  init(_ value: Crosscut__V1__Role, _ field: StaticString) throws(WireError) {
    switch value {
    case CROSSCUT__V1__ROLE__ROLE_SERVER: self = .server
    case CROSSCUT__V1__ROLE__ROLE_WORKER: self = .worker
    case CROSSCUT__V1__ROLE__ROLE_FC: self = .fc
    case CROSSCUT__V1__ROLE__ROLE_SHARD: self = .shard
    case CROSSCUT__V1__ROLE__ROLE_OBSERVER: self = .observer
    default: throw .invalid(field: "\(field)", found: "role \(value.rawValue)")
    }
  }
}

extension Slice.Part {
  init(_ value: Crosscut__V1__SlicePart) throws(WireError) {
    switch value {
    case CROSSCUT__V1__SLICE_PART__SLICE_PART_VALUE: self = .value
    case CROSSCUT__V1__SLICE_PART__SLICE_PART_VELOCITY: self = .velocity
    default: throw .invalid(field: "slice.part", found: "part \(value.rawValue)")
    }
  }
}

extension Stop.Outcome {
  init(_ value: Crosscut__V1__Stop__Outcome) throws(WireError) {
    switch value {
    case CROSSCUT__V1__STOP__OUTCOME__OUTCOME_FINISHED: self = .finished
    case CROSSCUT__V1__STOP__OUTCOME__OUTCOME_INTERRUPTED: self = .interrupted
    case CROSSCUT__V1__STOP__OUTCOME__OUTCOME_FAILED: self = .failed
    default: throw .invalid(field: "stop.outcome", found: "outcome \(value.rawValue)")
    }
  }
}

/// What `pointer` points to, if anything.
private func required<T>(
  _ pointer: UnsafeMutablePointer<T>?, _ field: StaticString
) throws(WireError) -> T {
  guard let pointer else { throw .missing(field: "\(field)") }
  return pointer.pointee
}

/// A C string of protobuf-c's as a Swift one; its length is judged with the contract.
private func text(
  _ pointer: UnsafeMutablePointer<CChar>?, _ field: StaticString
) throws(WireError) -> String {
  guard let pointer else { throw .missing(field: "\(field)") }
  guard let string = String(validatingCString: pointer) else {
    throw .invalid(field: "\(field)", found: "not UTF-8")
  }
  // Here, as what a message says of its own accord is cut to this.
  guard string.utf8.count <= Limits.stringBytes else {
    throw .invalid(field: "\(field)", found: "\(string.utf8.count) bytes")
  }
  return string
}
