import Messages

/// The run in one line that is written over and over on a terminal.
package enum ProgressLine {
  /// Renders the record without a line feed, at most `columns` characters wide.
  ///
  /// Where there is little room the bar is left out first, then what comes last.
  package static func render(_ record: StatusRecord, columns: Int, color: Bool) -> String {
    let paint = Paint(isColored: color)
    var parts = measures(record)
    let width = parts.reduce(-2) { $0 + $1.text.count + 2 }
    let barWidth = min(20, columns - width - 2)
    if showsSteps(record), barWidth >= 8 {
      let bar = Paint.bar(StatusTable.fraction(record), width: barWidth)
      parts.insert(Span(bar, .good), at: 0)
    }
    return Span.line(parts, columns: columns, paint: paint)
  }

  private static func measures(_ record: StatusRecord) -> [Span] {
    guard showsSteps(record) else {
      return [
        Span(record.state.rawValue, record.state == .failed ? .bad : .warning),
        Span(nodeCount(record), .quiet), Span(record.message, isProse: true),
      ]
    }
    var parts = [
      Span("step \(record.step)/\(record.totalSteps)", .strong),
      Span("epoch \(Format.fixed(record.epoch, 2))"),
    ]
    if record.state != .running { parts.append(Span(record.state.rawValue, .warning)) }
    if let loss = record.loss { parts.append(Span("loss \(Format.fixed(loss, 3))")) }
    if let accuracy = record.accuracy { parts.append(Span("acc \(Format.percent(accuracy))")) }
    if let rate = record.imagesPerSecond {
      parts.append(Span("\(Format.significant(rate)) img/s"))
    }
    if let eta = record.etaSeconds { parts.append(Span("ETA \(Format.duration(eta))")) }
    if let test = record.testAccuracy { parts.append(Span("test \(Format.percent(test))", .good)) }
    parts.append(Span(nodeCount(record), .quiet))
    if !record.message.isEmpty { parts.append(Span(record.message, .warning, isProse: true)) }
    return parts
  }

  /// Before the first step and after a failure there is nothing to count.
  private static func showsSteps(_ record: StatusRecord) -> Bool {
    record.state != .gathering && record.state != .failed
  }

  private static func nodeCount(_ record: StatusRecord) -> String {
    let present = record.nodes.filter { $0.state != .gone }
    let workers = present.count { $0.role == .worker }
    let fcNodes = present.count { $0.role == .fc }
    let shards = record.serverShardsWanted.map { wanted in
      " \(present.count { $0.role == .shard })/\(wanted) shards"
    }
    return "\(workers)/\(record.workersWanted) workers "
      + "\(fcNodes)/\(record.fcNodesWanted) fc\(shards ?? "")"
  }
}

/// The run in one line for a pipe or a log: the same fields in every line, no colours.
package enum PlainLine {
  /// Renders the record without a line feed.
  package static func render(_ record: StatusRecord) -> String {
    var parts = ["\(record.state.rawValue)"]
    if record.state != .gathering {
      parts.append("step \(record.step)/\(record.totalSteps)")
      parts.append("epoch \(Format.fixed(record.epoch, 2))")
      parts.append("loss \(Format.fixed(record.loss, 4))")
      parts.append("accuracy \(Format.percent(record.accuracy))")
      if let test = record.testAccuracy { parts.append("test \(Format.percent(test))") }
      parts.append("\(Format.significant(record.imagesPerSecond)) images/s")
      if let eta = record.etaSeconds { parts.append("ETA \(Format.duration(eta))") }
    }
    let present = record.nodes.filter { $0.state != .gone }
    parts.append(
      "\(present.count { $0.role == .worker })/\(Format.plural(record.workersWanted, "worker")), "
        + "\(present.count { $0.role == .fc })/\(Format.plural(record.fcNodesWanted, "fc node"))"
        + (record.serverShardsWanted.map {
          ", \(present.count { $0.role == .shard })/\(Format.plural($0, "more server shard"))"
        } ?? ""))
    if !record.message.isEmpty { parts.append(Format.printable(record.message)) }
    return parts.joined(separator: "  ")
  }
}
