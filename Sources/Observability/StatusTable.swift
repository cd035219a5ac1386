import Messages

/// The status of a run as a table for a terminal.
package enum StatusTable {
  /// Renders the record, one line feed after each line.
  ///
  /// - Parameters:
  ///   - columns: width of the terminal; no line is wider, what is least important is left out.
  ///   - color: whether escape sequences for colours are wanted.
  package static func render(_ record: StatusRecord, columns: Int, color: Bool) -> String {
    let paint = Paint(isColored: color)
    let width = max(columns, 20)
    var lines = summary(record, width, paint)
    if !record.message.isEmpty {
      let style: Paint.Style = record.state == .failed ? .bad : .warning
      lines.append(
        Span.line([Span(record.message, style, isProse: true)], columns: width, paint: paint))
    }
    for role in [Role.worker, .fc, .shard] {
      let nodes = record.nodes.filter { $0.role == role }
      guard !nodes.isEmpty else { continue }
      lines += tables(nodes, role, width).flatMap {
        [""] + $0.render(width: width, paint: paint)
      }
    }
    if !record.events.isEmpty {
      lines.append("")
      for event in record.events.suffix(5) {
        lines.append(
          Span.line(
            [
              Span(Format.duration(event.secondsSinceStart), .quiet),
              Span(event.text, isProse: true),
            ],
            columns: width, paint: paint))
      }
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func summary(
    _ record: StatusRecord, _ width: Int, _ paint: Paint
  ) -> [String] {
    let title =
      [
        Span(record.name, .strong), Span(record.state.rawValue, style(record.state)),
        Span("run \(record.run)", .quiet), Span("view \(record.view)", .quiet),
        Span(Format.duration(record.elapsedSeconds), .quiet),
      ] + (record.earlierSeconds.map { [Span("after \(Format.duration($0))", .quiet)] } ?? [])
    let done = fraction(record)
    var progress = [
      Span("step \(record.step)/\(record.totalSteps)"),
      Span("epoch \(Format.fixed(record.epoch, 2))/\(Format.significant(record.totalEpochs))"),
    ]
    let barWidth = min(24, width - 60)
    if barWidth >= 8 { progress.append(Span(Paint.bar(done, width: barWidth), .good)) }
    progress.append(Span(Format.fixed(done * 100, 0) + " %"))
    if let eta = record.etaSeconds, record.state == .running || record.state == .evaluating {
      progress.append(Span("ETA \(Format.duration(eta))", .strong))
    }
    var measures = [
      Span("loss \(Format.fixed(record.loss, 4))"),
      Span("accuracy \(Format.percent(record.accuracy))"),
    ]
    if let rate = record.imagesPerSecond {
      measures.append(Span("\(Format.significant(rate)) images/s"))
    }
    if let rate = record.learningRate {
      measures.append(Span("learning rate \(Format.significant(rate))"))
    }
    if record.dataset?.kind == DatasetRecord.synthetic {
      measures.append(Span("synthetic data", .warning))
    }
    // fp32 is what everybody expects.
    if let precision = record.precision, precision != "fp32" { measures.append(Span(precision)) }
    var lines = [title, progress, measures]
    if let accuracy = record.testAccuracy {
      var test = [Span("test accuracy \(Format.percent(accuracy))", .strong)]
      if let top5 = record.testTop5 { test.append(Span("top-5 \(Format.percent(top5))")) }
      if let loss = record.testLoss { test.append(Span("loss \(Format.fixed(loss, 4))")) }
      if let step = record.testStep { test.append(Span("after step \(step)", .quiet)) }
      lines.append(test)
    }
    return lines.map { Span.line($0, columns: width, paint: paint) }
  }

  /// How much of the run is done, 0...1.
  static func fraction(_ record: StatusRecord) -> Double {
    record.totalSteps == 0 ? 0 : min(1, Double(record.step) / Double(record.totalSteps))
  }

  /// One table where everything fits side by side, else one of times and one of resources.
  private static func tables(
    _ nodes: [NodeRecord], _ role: Role, _ width: Int
  ) -> [ColumnLayout] {
    let name = ColumnLayout.Column(
      title: "node", isNumeric: false, expendability: 0,
      cells: nodes.map { Span("\($0.name)", .strong) })
    let times = times(nodes, role)
    let resources = resources(nodes)
    let whole = ColumnLayout(columns: [name] + times + resources)
    if whole.width <= width { return [whole] }
    return [ColumnLayout(columns: [name] + times), ColumnLayout(columns: [name] + resources)]
  }

  private static func times(_ nodes: [NodeRecord], _ role: Role) -> [ColumnLayout.Column] {
    typealias Column = ColumnLayout.Column
    func milliseconds(
      _ title: String, _ expendability: Int, _ value: (StepTimesRecord) -> Double
    ) -> Column {
      Column(
        title: title, expendability: expendability,
        cells: nodes.map { Span(Format.fixed(value($0.stepMilliseconds), 1)) })
    }
    let split =
      role == .worker
      ? [
        milliseconds("data", 5) { $0.data }, milliseconds("conv fwd", 4) { $0.convForward },
        milliseconds("wait fc", 3) { $0.waitingForFC },
        milliseconds("conv bwd", 4) { $0.convBackward },
        milliseconds("wait par", 3) { $0.waitingForParameters },
      ]
      : [
        milliseconds("compute", 4) { $0.compute },
        milliseconds("wait peers", 3) { $0.waitingForPeers },
      ]
    return [
      Column(
        title: "state", isNumeric: false, expendability: 1,
        cells: nodes.map { Span($0.state.rawValue, style($0.state)) }),
      Column(
        title: "beat", expendability: 2,
        cells: nodes.map { Span(Format.duration(milliseconds: $0.heartbeatAgeMilliseconds)) }),
      Column(title: "turn", expendability: 6, cells: nodes.map { Span("\($0.turn)") }),
    ] + split
  }

  /// Longer names of hosts are cut, so that 80 columns have room for what stands beside them.
  private static let longestHost = 30

  private static func resources(_ nodes: [NodeRecord]) -> [ColumnLayout.Column] {
    typealias Column = ColumnLayout.Column
    return [
      Column(
        title: "sent", expendability: 8, cells: nodes.map { Span(Format.bytes($0.bytesSent)) }),
      Column(
        title: "received", expendability: 9,
        cells: nodes.map { Span(Format.bytes($0.bytesReceived)) }),
      Column(
        title: "memory", expendability: 7,
        cells: nodes.map { Span(Format.bytes($0.residentBytes)) }),
      // Both are news only when they are not 0, or long.
      Column(
        title: "dropped", expendability: 12,
        cells: nodes.map { Span($0.droppedMessages == 0 ? "" : "\($0.droppedMessages)", .warning) }),
      Column(
        title: "gap", expendability: 13,
        cells: nodes.map {
          Span(
            $0.largestGapMilliseconds < 20 ? "" : Format.duration($0.largestGapMilliseconds / 1000),
            .warning)
        }),
      Column(
        title: "broken", expendability: 12,
        cells: nodes.map { Span($0.brokenExamples.map { "\($0)" } ?? "", .warning) }),
      // How many times what the worker takes its loader could give.
      Column(
        title: "loader", expendability: 11,
        cells: nodes.map { node in
          guard node.takenImagesPerSecond > 0 else { return Span("") }
          let ratio = node.loaderImagesPerSecond / node.takenImagesPerSecond
          return ratio < 1.5
            ? Span("\(Format.fixed(ratio, 1))x", .warning) : Span("\(Format.fixed(ratio, 1))x")
        }),
      Column(
        title: "phase", isNumeric: false, expendability: 14, cells: nodes.map { Span($0.phase) }),
      Column(
        title: "host", isNumeric: false, expendability: 11,
        cells: nodes.map { Span(Format.clipped($0.host, to: longestHost)) }),
      Column(title: "pid", expendability: 10, cells: nodes.map { Span("\($0.processID)") }),
    ]
  }

  private static func style(_ state: StatusRecord.State) -> Paint.Style {
    switch state {
    case .gathering: .warning
    case .running, .evaluating, .finishing, .finished: .good
    case .failed: .bad
    }
  }

  private static func style(_ state: NodeRecord.State) -> Paint.Style {
    switch state {
    case .joined: .quiet
    case .active: .good
    case .silent: .warning
    case .gone: .bad
    }
  }
}
