/// Several runs side by side: a table, and their curves as SVG.
package struct RunComparison: Sendable {
  package struct Run: Sendable {
    package let name: String
    package let metrics: MetricsFile

    package init(name: String, metrics: MetricsFile) {
      self.name = metrics.isOfSyntheticData ? name + " (synthetic data)" : name
      self.metrics = metrics
    }
  }

  private let runs: [Run]

  package init(_ runs: [Run]) { self.runs = runs }

  // MARK: Table

  /// A line a run.
  package func table(columns: Int, color: Bool) -> String {
    typealias Column = ColumnLayout.Column
    func column(_ title: String, _ expendability: Int, _ text: (MetricsFile) -> String) -> Column {
      Column(
        title: title, expendability: expendability, cells: runs.map { Span(text($0.metrics)) })
    }
    let layout = ColumnLayout(columns: [
      Column(
        title: "run", isNumeric: false, expendability: 0,
        cells: runs.map { Span($0.name, .strong) }),
      column("steps", 2) { "\($0.training.last?.step ?? $0.evaluations.last?.step ?? 0)" },
      column("time", 5) { file in
        Format.duration(
          [file.training.last?.secondsSinceStart, file.evaluations.last?.secondsSinceStart]
            .compactMap { $0 }.max())
      },
      column("loss", 3) { Format.fixed($0.training.last?.loss, 4) },
      column("test loss", 4) { Format.fixed($0.evaluations.last?.loss, 4) },
      column("test acc", 1) { Format.percent($0.evaluations.last?.accuracy) },
      column("best", 6) { file in
        Format.percent(file.evaluations.map(\.accuracy).filter { !$0.isNaN }.max())
      },
      column("at step", 7) { file in
        let best = file.evaluations.filter { !$0.accuracy.isNaN }
          .max { $0.accuracy < $1.accuracy }
        return best.map { "\($0.step)" } ?? "-"
      },
      column("images/s", 8) { file in
        let rates = file.training.compactMap(\.imagesPerSecond).sorted()
        return Format.significant(rates.isEmpty ? nil : rates[rates.count / 2])
      },
    ])
    return layout.render(width: columns, paint: Paint(isColored: color)).map { $0 + "\n" }.joined()
  }

  // MARK: Curves

  /// Told apart by people who see colours differently, too; dashes where there are more runs.
  private static let colors = ["#2a6fca", "#cc5222", "#0f8a63", "#7a45b5", "#946800", "#5f5e57"]

  private struct Line {
    var points: [(x: Double, y: Double)]
    let run: Int
    let isTest: Bool
  }

  /// Loss and accuracy by step, training as lines, tests as dots: a document of its own.
  package func svg() -> String {
    let width = 900.0
    let legend = 24.0 + Double(runs.count) * 18
    let height = 2 * 300 + legend
    var out = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" \
      font-family="sans-serif" font-size="12">
      <title>\(Self.escaped(runs.map(\.name).joined(separator: ", ")))</title>
      <rect width="100%" height="100%" fill="#fff"/>

      """
    for (index, run) in runs.enumerated() {
      let y = 20 + Double(index) * 18
      out += "<path d=\"M60 \(y - 4)h24\" \(style(index))/>"
      out += "<text x=\"92\" y=\"\(y)\">\(Self.escaped(run.name))</text>\n"
    }
    out += panel(
      "loss", top: legend,
      lines: lines({ ($0.step, $0.loss) }, { ($0.step, $0.loss) }), zero: true)
    out += panel(
      "accuracy, %", top: legend + 300,
      lines: lines({ ($0.step, $0.accuracy * 100) }, { ($0.step, $0.accuracy * 100) }),
      zero: false)
    return out + "</svg>\n"
  }

  private func lines(
    _ training: (MetricsLog.Training) -> (UInt64, Double),
    _ test: (MetricsLog.Evaluation) -> (UInt64, Double)
  ) -> [Line] {
    runs.enumerated().flatMap { index, run in
      [
        Line(
          points: run.metrics.training.map(training).map { (Double($0.0), $0.1) }, run: index,
          isTest: false),
        Line(
          points: run.metrics.evaluations.map(test).map { (Double($0.0), $0.1) }, run: index,
          isTest: true),
      ]
    }
  }

  private func panel(_ title: String, top: Double, lines: [Line], zero: Bool) -> String {
    let points = lines.flatMap(\.points).filter { $0.y.isFinite }
    let right = max(points.map(\.x).max() ?? 1, 1)
    let high = points.map(\.y).max() ?? 1
    let low = zero ? min(0, points.map(\.y).min() ?? 0) : points.map(\.y).min() ?? 0
    let span = high > low ? high - low : 1
    func x(_ value: Double) -> Double { 60 + value / right * 820 }
    func y(_ value: Double) -> Double { top + 260 - (value - low) / span * 230 }
    var out = "<text x=\"60\" y=\"\(top + 16)\" font-weight=\"bold\">\(title)</text>\n"
    for step in 0...4 {
      let value = low + span * Double(step) / 4
      out += "<path d=\"M60 \(Format.fixed(y(value), 1))h820\" stroke=\"#ddd\"/>"
      out += "<text x=\"54\" y=\"\(Format.fixed(y(value) + 4, 1))\" text-anchor=\"end\">"
      out += "\(Format.significant(value))</text>"
      let place = right * Double(step) / 4
      out += "<text x=\"\(Format.fixed(x(place), 1))\" y=\"\(top + 280)\" text-anchor=\"middle\">"
      out += "\(Format.fixed(place.rounded(.down), 0))</text>\n"
    }
    for line in lines {
      let places = line.points.filter { $0.y.isFinite }.map {
        (Format.fixed(x($0.x), 1), Format.fixed(y($0.y), 1))
      }
      guard !places.isEmpty else { continue }
      if line.isTest {
        let color = Self.colors[line.run % Self.colors.count]
        out += places.map { "<circle cx=\"\($0.0)\" cy=\"\($0.1)\" r=\"3.5\" fill=\"\(color)\"/>" }
          .joined()
      } else {
        let path = places.map { "\($0.0) \($0.1)" }.joined(separator: "L")
        out += "<path d=\"M\(path)\" \(style(line.run))/>"
      }
      out += "\n"
    }
    return out
  }

  private func style(_ run: Int) -> String {
    let dashes = ["", "6 3", "2 3", "8 3 2 3"][run / Self.colors.count % 4]
    return "fill=\"none\" stroke-width=\"1.8\" stroke=\"\(Self.colors[run % Self.colors.count])\""
      + (dashes.isEmpty ? "" : " stroke-dasharray=\"\(dashes)\"")
  }

  private static func escaped(_ text: String) -> String {
    Format.printable(text).replacing("&", with: "&amp;").replacing("<", with: "&lt;")
      .replacing(">", with: "&gt;")
  }
}
