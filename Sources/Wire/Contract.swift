import Messages
import Tensors

extension WireCodec {
  /// Number and sizes of the raw frames, whatever they belong to.
  static func checkFrameLimits(_ frames: [Frame]) throws(WireError) {
    guard frames.count <= Limits.frames else { throw .tooManyFrames(count: frames.count) }
    for (index, frame) in frames.enumerated() where frame.byteCount > Limits.frameBytes {
      throw .frameTooLarge(index: index, bytes: frame.byteCount)
    }
  }
}

extension Message {
  /// Whether ranges, strings and frames are as `Protos/crosscut.proto` says; the same question to
  /// what goes out as to what came in.
  func checkContract() throws(WireError) {
    try WireCodec.checkFrameLimits(frames)
    switch body {
    case .join(let join):
      try join.check()
      try expectFrames(0, "join")
    case .welcome(let welcome):
      try Wire.check(welcome.rank, from: 0, "welcome.rank")
      try expectFrames(1, "welcome")
    case .refusal(let refusal):
      try check(refusal.reason, "refusal.reason")
      try expectFrames(0, "refusal")
    case .view(let view):
      try view.check()
      try expectFrames(0, "view")
    case .heartbeat(let heartbeat):
      try heartbeat.check()
      try expectFrames(0, "heartbeat")
    case .advance(let advance):
      try check(advance.turn, "advance.turn")
      try RateChange.check(advance.rateChanges, "advance.rate changes")
      try expectFrames(0, "advance")
    case .leave(let leave):
      try check(leave.reason, "leave.reason")
      try expectFrames(0, "leave")
    case .stop(let stop):
      try check(stop.reason, "stop.reason")
      try expectFrames(0, "stop")
    case .goodbye: try expectFrames(0, "goodbye")
    case .push(let push):
      try check(push.turn, "push.turn")
      if let chunk = push.chunk { try check(chunk, from: 0, "push.chunk") }
      try expectFrames(push.chunk == nil ? 0 : 1, "push")
      try expectWholeItems(frames[...], of: 2, "push")
    case .parameters(let parameters):
      try check(parameters.version, "parameters.version")
      try check(parameters.chunk, from: 0, "parameters.chunk")
      try expectFrames(1, "parameters")
      try expectWholeItems(frames[...], of: 2, "parameters")
    case .pull: try expectFrames(0, "pull")
    case .applied(let applied):
      try check(applied.turn, "applied.turn")
      try expectFrames(0, "applied")
    case .activations(let activations):
      try check(activations.turn, "activations.turn")
      try check(activations.subBatch, from: 0, "activations.sub-batch")
      try activations.block.check("activations.block")
      guard let labels = frames.first, labels.byteCount == 4 * activations.block.rows else {
        throw .invalid(
          field: "activations.frames",
          found: "\(frames.first?.byteCount ?? 0) bytes of labels for"
            + " \(activations.block.rows) rows")
      }
      try expectMatrix(
        frames.dropFirst(), activations.block.rows, activations.block.columns, "activations",
        mayBeHalf: true)
    case .featureGradients(let gradients):
      try check(gradients.turn, "feature gradients.turn")
      try check(gradients.subBatch, from: 0, "feature gradients.sub-batch")
      try gradients.block.check("feature gradients.block")
      try expectMatrix(
        frames[...], gradients.block.rows, gradients.block.columns, "feature gradients",
        mayBeHalf: true)
    case .exchange(let exchange):
      try check(exchange.turn, "exchange.turn")
      try check(exchange.subBatch, from: 0, "exchange.sub-batch")
      try check(exchange.index, from: 0, "exchange.index")
      try expectSomeFrames("exchange")
      try expectWholeItems(frames[...], of: 2, "exchange")
    case .report(let report):
      try check(report.turn, "report.turn")
      try check(report.subBatch, from: 0, "report.sub-batch")
      try expectFrames(1, "report")
      try expectWholeItems(frames[...], of: 4, "report")
      try check(report.examples, from: 0, to: frameBytes / 4, "report.examples")
    case .slice(let slice):
      try slice.check()
      try expectMatrix(frames[...], slice.rows, slice.columns, "slice")
    case .pictures(let pictures): try checkPictures(pictures)
    case .guesses(let guesses): try checkGuesses(guesses)
    case .fault(let fault):
      try check(fault.turn, "fault.turn")
      try check(fault.depth, from: 0, "fault.depth")
      try check(fault.what, "fault.what")
      try expectFrames(0, "fault")
    case .collect(let collect):
      try check(collect.turn, "collect.turn")
      try expectFrames(0, "collect")
    case .restore(let restore):
      try check(restore.steps, "restore.steps")
      try expectFrames(0, "restore")
    case .drill(let drill):
      try drill.check()
      try expectFrames(0, "drill")
    case .complaint(let complaint):
      try check(complaint.reason, "complaint.reason")
      try expectFrames(0, "complaint")
    case .statusRequest: try expectFrames(0, "status request")
    case .statusReply: try expectSomeFrames("status reply")
    case .commandRequest(let command):
      switch command {
      case .stop(let reason): try check(reason, "command request.stop")
      case .checkpointNow: break
      case .setLearningRate(let rate): try check(positive: rate, "command request.learning rate")
      case .trace(let turns):
        try check(turns, from: 1, to: Limits.traceTurns, "command request.trace turns")
      case .drill(let drill, let target):
        try drill.check()
        try check(target.rank, from: 0, "command request.drill.target")
      }
      try expectFrames(0, "command request")
    case .commandReply(let reply):
      try check(reply.text, "command reply.text")
      if !reply.ok { try expectFrames(0, "command reply") }
    case .traceRequest(let request):
      try check(request.turns, from: 1, to: Limits.traceTurns, "trace request.turns")
      try check(request.sentAt, "trace request.sent at")
      try expectFrames(0, "trace request")
    case .traceReport(let report):
      try check(report.requestedAt, "trace report.requested at")
      try check(report.sentAt, "trace report.sent at")
      try expectSomeFrames("trace report")
    case .logRequest(let request):
      try Wire.check(request.node.rank, from: 0, "log request.node")
      try check(request.after, "log request.after")
      try expectFrames(0, "log request")
    case .logReply(let reply):
      try check(reply.last, "log reply.last")
      try check(reply.problem, "log reply.problem")
      guard frames.count <= 1, (frames.first?.byteCount ?? 0) <= Limits.logBytes else {
        throw .invalid(
          field: "log reply.frames",
          found: "\(frames.count) frames, the first of \(frames.first?.byteCount ?? 0) bytes")
      }
    }
  }

  private func checkPictures(_ pictures: Pictures) throws(WireError) {
    try check(pictures.firstRow, from: 0, to: Limits.sampleRows - 1, "pictures.first row")
    try check(
      pictures.rows, from: 1, to: Limits.sampleRows - pictures.firstRow, "pictures.rows")
    guard pictures.channels == 1 || pictures.channels == 3 else {
      throw .invalid(field: "pictures.channels", found: "\(pictures.channels)")
    }
    try check(pictures.height, from: 1, to: Limits.sampleSide, "pictures.height")
    try check(pictures.width, from: 1, to: Limits.sampleSide, "pictures.width")
    guard frames.count == 2 || frames.count == 3 && frames[2].byteCount <= Limits.logBytes,
      frames[0].byteCount == 4 * pictures.rows,
      frames[1].byteCount == pictures.rows * pictures.bytes
    else {
      throw .invalid(
        field: "pictures.frames",
        found:
          "\(frames.count) of \(frames.map { "\($0.byteCount)" }.joined(separator: ", ")) bytes")
    }
  }

  private func checkGuesses(_ guesses: Guesses) throws(WireError) {
    try check(guesses.step, "guesses.step")
    try check(guesses.rows, from: 1, to: Limits.sampleRows, "guesses.rows")
    try check(guesses.classes, from: 1, to: Limits.sampleClasses, "guesses.classes")
    try expectFrames(2, "guesses")
    for frame in frames where frame.byteCount != 4 * guesses.rows * guesses.classes {
      throw .invalid(
        field: "guesses.frames",
        found: "\(frame.byteCount) bytes for [\(guesses.rows), \(guesses.classes)]")
    }
  }

  private func expectFrames(_ count: Int, _ body: StaticString) throws(WireError) {
    guard frames.count == count else {
      throw .invalid(field: "\(body).frames", found: "\(frames.count) frames instead of \(count)")
    }
  }

  private func expectSomeFrames(_ body: StaticString) throws(WireError) {
    guard !frames.isEmpty else { throw .invalid(field: "\(body).frames", found: "no frame") }
  }

  /// Each frame holds one or more items of `itemBytes`, none in part.
  private func expectWholeItems(
    _ frames: ArraySlice<Frame>, of itemBytes: Int, _ body: StaticString
  ) throws(WireError) {
    for frame in frames where frame.byteCount == 0 || frame.byteCount % itemBytes != 0 {
      throw .invalid(
        field: "\(body).frames", found: "\(frame.byteCount) bytes for items of \(itemBytes)")
    }
  }

  /// The frames hold `[rows, columns]` numbers, each frame whole rows of them.
  ///
  /// - Parameter mayBeHalf: whether they may be bf16; which of the two the run's configuration says,
  ///   and the cores check.
  private func expectMatrix(
    _ frames: ArraySlice<Frame>, _ rows: Int, _ columns: Int, _ body: StaticString,
    mayBeHalf: Bool = false
  ) throws(WireError) {
    let received = frames.reduce(0) { $0 + $1.byteCount }
    let size = mayBeHalf && received == 2 * rows * columns ? 2 : 4
    try expectWholeItems(frames, of: size * columns, body)
    guard received == size * rows * columns else {
      throw .invalid(
        field: "\(body).frames",
        found: "\(received) bytes instead of \(4 * rows * columns) for [\(rows), \(columns)]")
    }
  }
}

extension Join {
  fileprivate func check() throws(WireError) {
    try Wire.check(host, "join.host")
    try Wire.check(Int(processID), from: 0, "join.process id")
    try Wire.check(softwareVersion, "join.software version")
    try Wire.check(endpoint, "join.endpoint")
    try Wire.check(Int(preferredRank), from: -1, "join.preferred rank")
  }
}

extension Drill {
  fileprivate func check() throws(WireError) {
    try Wire.check(milliseconds, from: 1, to: Self.longestMilliseconds, "drill.milliseconds")
    try Wire.check(percent, from: 1, to: 100, "drill.percent")
    try Wire.check(
      latencyMilliseconds, from: 1, to: Self.longestLatencyMilliseconds,
      "drill.latency milliseconds")
  }
}

extension View {
  fileprivate func check() throws(WireError) {
    guard number > 0 else { throw .invalid(field: "view.number", found: "0") }
    try Wire.check(resumeTurn, "view.resume turn")
    try dataset.check("view.dataset")
    try RateChange.check(rateChanges, "view.rate changes")
    guard skippedTurns <= resumeTurn else {
      throw .invalid(field: "view.skipped turns", found: "\(skippedTurns) of \(resumeTurn)")
    }
    try Self.check(workers, .worker, "view.workers")
    try Self.check(fcNodes, .fc, "view.fc nodes")
    for holder in holders where holder >= workers.count {
      throw .invalid(
        field: "view.holders", found: "position \(holder) of \(workers.count) workers")
    }
    // Shard 0 is the server.
    try Self.check(shards, .shard, "view.shards", above: 0)
  }

  private static func check(
    _ members: [Member], _ role: Role, _ field: StaticString, above lowest: Int = -1
  ) throws(WireError) {
    var lastRank = lowest
    for member in members {
      guard member.node != .server else {
        throw .invalid(field: "\(field)", found: "\(member.name) with the server's number")
      }
      guard member.name.role == role else {
        throw .invalid(field: "\(field)", found: "\(member.name) among them")
      }
      try Wire.check(member.name.rank, from: 0, field)
      guard member.name.rank > lastRank else {
        throw .invalid(field: "\(field)", found: "rank \(member.name.rank) after \(lastRank)")
      }
      lastRank = member.name.rank
      try Wire.check(member.endpoint, field)
    }
  }
}

extension RateChange {
  fileprivate static func check(
    _ changes: [RateChange], _ field: StaticString
  ) throws(WireError) {
    try Wire.check(changes.count, from: 0, to: Limits.rateChanges, field)
    var lowest: UInt64 = 0
    for change in changes {
      try Wire.check(change.firstStep, field)
      guard change.firstStep >= lowest else {
        throw .invalid(field: "\(field)", found: "step \(change.firstStep) out of order")
      }
      lowest = change.firstStep + 1
      try Wire.check(positive: change.factor, field)
    }
  }
}

extension DatasetFacts {
  fileprivate func check(_ field: StaticString) throws(WireError) {
    try Wire.check(trainingExamples, field)
    try Wire.check(evaluationExamples, field)
  }
}

extension Heartbeat {
  fileprivate func check() throws(WireError) {
    if let dataset { try dataset.check("heartbeat.dataset") }
    try Wire.check(turn, "heartbeat.turn")
    try Wire.check(phase, "heartbeat.phase")
    try Wire.check(millisecondsSinceProgress, "heartbeat.milliseconds since progress")
    try telemetry.check("heartbeat.telemetry")
    for wait in waits { try wait.check() }
    for (group, next) in zip(heldGroups, heldGroups.dropFirst()) where next <= group {
      throw .invalid(field: "heartbeat.held groups", found: "\(next) after \(group)")
    }
  }
}

extension Telemetry {
  fileprivate func check(_ field: StaticString) throws(WireError) {
    for count in [
      bytesSent, bytesReceived, residentBytes, droppedMessages, brokenExamples,
    ] {
      try Wire.check(count, field)
    }
    let times = stepMilliseconds
    for milliseconds in [
      times.data, times.convolutionForward, times.waitingForFC, times.convolutionBackward,
      times.waitingForParameters, times.compute, times.waitingForPeers, largestGapMilliseconds,
    ] where !(milliseconds.isFinite && milliseconds >= 0) {
      throw .invalid(field: "\(field)", found: "\(milliseconds) milliseconds")
    }
    for rate in [loaderImagesPerSecond, takenImagesPerSecond]
    where !(rate.isFinite && rate >= 0) {
      throw .invalid(field: "\(field)", found: "\(rate) images a second")
    }
  }
}

extension Wait {
  fileprivate func check() throws(WireError) {
    switch owner {
    case .member(let name): try Wire.check(name.rank, from: 0, "wait.owner")
    case .own(let part): try Wire.check(part, "wait.owner")
    case .absent(let who): try Wire.check(who, "wait.owner")
    }
    try Wire.check(what, "wait.what")
    try Wire.check(milliseconds, "wait.milliseconds")
  }
}

extension RowBlock {
  fileprivate func check(_ field: StaticString) throws(WireError) {
    try Wire.check(firstRow, from: 0, "\(field).first row")
    try Wire.check(rows, from: 1, to: largestNumber - firstRow, "\(field).rows")
    try Wire.check(columns, from: 1, to: Limits.frameBytes / 4, "\(field).columns")
  }
}

extension Slice {
  fileprivate func check() throws(WireError) {
    try Wire.check(number, from: 0, "slice.number")
    try Wire.check(key, from: 0, "slice.key")
    try Wire.check(firstRow, from: 0, "slice.first row")
    try Wire.check(rows, from: 1, to: largestNumber - firstRow, "slice.rows")
    try Wire.check(firstColumn, from: 0, "slice.first column")
    let widest = min(Limits.frameBytes / 4, largestNumber - firstColumn)
    try Wire.check(columns, from: 1, to: widest, "slice.columns")
  }
}
