import Glibc
import Planning

/// A forecast as a picture: above the step as a timeline, below the scaling curves.
struct PlanPlot {
  private let report: PlanReport
  private static let width = 960.0
  private static let left = 150.0
  private static let right = 930.0
  private static let rowHeight = 26.0
  private static let rows: [(name: String, kinds: [TaskGraph.Kind])] = [
    ("loader", [.data]),
    ("worker", [.convForward, .convBackward]),
    ("FC node", [.fcCompute, .fcGradients, .fcUpdate]),
    ("server", [.update]),
    ("links: features", [.features, .featureGradients]),
    ("links: exchanges", [.exchange]),
    ("links: conv", [.push, .parameters]),
  ]

  init(_ report: PlanReport) { self.report = report }

  /// One self-contained document, light on any background.
  var svg: String {
    let below = 70 + Self.rowHeight * Double(Self.rows.count) + 70
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="960" height="\(Self.n(below + 330))" \
      viewBox="0 0 960 \(Self.n(below + 330))" font-family="sans-serif" font-size="12" fill="#222">
      <rect width="100%" height="100%" fill="#fff"/>

      """
    text += timeline(top: 60)
    text += legend(y: below - 22)
    text += curves(top: below + 40, height: 230)
    return text + "</svg>\n"
  }

  // MARK: The step

  private static func color(_ kind: TaskGraph.Kind) -> String {
    switch kind {
    case .data: "#bab0ac"
    case .convForward: "#4c78a8"
    case .convBackward: "#9ecae9"
    case .fcCompute: "#f58518"
    case .fcGradients: "#ffbf79"
    case .fcUpdate: "#d8b5a5"
    case .update: "#79706e"
    case .features: "#54a24b"
    case .featureGradients: "#88d27a"
    case .exchange: "#b279a2"
    case .push: "#e45756"
    case .parameters: "#ff9d98"
    }
  }

  private func timeline(top: Double) -> String {
    let shape = report.shape
    let scale = (Self.right - Self.left) / report.forecast.seconds
    var text = Self.label(
      20, 24,
      "\(report.name): a step of \(shape.workers) workers and \(shape.fcNodes) FC nodes, "
        + "\(PlanReport.scheme(shape)): \(Numbers.fixed(report.forecast.seconds, 3)) s", size: 15)
    let bottom = top + Self.rowHeight * Double(Self.rows.count)
    for tick in Self.ticks(report.forecast.seconds) {
      let x = Self.left + tick * scale
      text += Self.line(x, top, x, bottom, "#ddd")
      text += Self.label(x, bottom + 16, "\(Self.short(tick)) s", anchor: "middle")
    }
    for (index, row) in Self.rows.enumerated() {
      let y = top + Self.rowHeight * Double(index)
      text += Self.label(Self.left - 10, y + 17, row.name, anchor: "end")
      for task in report.forecast.tasks where row.kinds.contains(task.kind) {
        let start = max(task.start, 0)
        let end = min(task.end, report.forecast.seconds)
        guard end > start else { continue }
        text += """
          <rect x="\(Self.n(Self.left + start * scale))" y="\(Self.n(y + 3))" \
          width="\(Self.n(max((end - start) * scale, 0.5)))" height="\(Self.n(Self.rowHeight - 6))" \
          fill="\(Self.color(task.kind))" stroke="#fff" stroke-width="0.5">\
          <title>\(task.name): \(Numbers.fixed(1e3 * (task.end - task.start), 1)) ms</title></rect>

          """
      }
    }
    return text
  }

  private func legend(y: Double) -> String {
    var text = ""
    var x = 20.0
    var line = y
    for kind in Self.rows.flatMap(\.kinds) {
      let width = 28 + 7.2 * Double(kind.rawValue.count)
      if x + width > Self.width - 10 { (x, line) = (20, line + 18) }
      text +=
        "<rect x=\"\(Self.n(x))\" y=\"\(Self.n(line - 10))\" width=\"12\" height=\"12\" "
        + "fill=\"\(Self.color(kind))\"/>\n"
      text += Self.label(x + 17, line, kind.rawValue)
      x += width
    }
    return text
  }

  // MARK: Scaling

  private func curves(top: Double, height: Double) -> String {
    let rows = report.scaling.rows
    let series: [(name: String, color: String, values: [Double])] = [
      ("Crosscut", "#4c78a8", rows.map(\.recommendation.imagesPerSecond)),
      ("ring all-reduce", "#f58518", rows.map(\.ring)),
      ("one parameter server", "#e45756", rows.map(\.parameterServer)),
      ("no waiting", "#bbb", rows.map { report.scaling.single * Double($0.workers) }),
    ]
    let all = series.flatMap(\.values).filter { $0 > 0 }
    let low = floor(log10(all.min() ?? 1))
    let high = max(ceil(log10(all.max() ?? 10)), low + 1)
    let most = log2(Double(rows.last?.workers ?? 2))
    let right = Self.right - 150
    func x(_ workers: Int) -> Double {
      Self.left + log2(Double(workers)) / most * (right - Self.left)
    }
    func y(_ rate: Double) -> Double {
      top + height * (high - log10(max(rate, 1e-9))) / (high - low)
    }
    var text = Self.label(
      20, top - 16, "images/s, \(report.shape.share) examples a worker, by workers", size: 15)
    for power in Int(low)...Int(high) {
      let at = top + height * (high - Double(power)) / (high - low)
      text += Self.line(Self.left, at, right, at, "#ddd")
      text += Self.label(
        Self.left - 10, at + 4, power < 0 ? "1e\(power)" : Numbers.fixed(pow(10, Double(power)), 0),
        anchor: "end")
    }
    for row in rows {
      text += Self.label(x(row.workers), top + height + 18, "\(row.workers)", anchor: "middle")
    }
    // Names beside the ends of the curves, moved apart where they would meet.
    var used: [Double] = []
    for one in series.sorted(by: { ($0.values.last ?? 0) > ($1.values.last ?? 0) }) {
      let points = zip(rows, one.values).map { "\(Self.n(x($0.workers))),\(Self.n(y($1)))" }
      text +=
        "<polyline points=\"\(points.joined(separator: " "))\" fill=\"none\" "
        + "stroke=\"\(one.color)\" stroke-width=\"2\"/>\n"
      var at = y(one.values.last ?? 1) + 4
      while used.contains(where: { abs($0 - at) < 14 }) { at += 14 }
      used.append(at)
      text += Self.label(right + 8, at, one.name)
    }
    return text
  }

  // MARK: Marks

  /// Four to eight round numbers from 0 to at most `end`.
  private static func ticks(_ end: Double) -> [Double] {
    var step = pow(10, floor(log10(end)))
    if end / step < 2 { step /= 5 } else if end / step < 5 { step /= 2 }
    return (0...Int(end / step + 1e-9)).map { Double($0) * step }
  }

  private static func short(_ value: Double) -> String {
    let text = Numbers.fixed(value, value < 0.1 ? 4 : 2)
    var digits = Substring(text)
    while digits.contains("."), digits.hasSuffix("0") || digits.hasSuffix(".") {
      let wasPoint = digits.hasSuffix(".")
      digits = digits.dropLast()
      if wasPoint { break }
    }
    return String(digits)
  }

  private static func n(_ value: Double) -> String { Numbers.fixed(value, 1) }

  private static func label(
    _ x: Double, _ y: Double, _ text: String, size: Int = 12, anchor: String = "start"
  ) -> String {
    let safe = text.map { $0 == "<" ? "&lt;" : $0 == "&" ? "&amp;" : "\($0)" }.joined()
    return "<text x=\"\(n(x))\" y=\"\(n(y))\" font-size=\"\(size)\" "
      + "text-anchor=\"\(anchor)\">\(safe)</text>\n"
  }

  private static func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String
  ) -> String {
    "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\" stroke=\"\(color)\"/>\n"
  }
}
