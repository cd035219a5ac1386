import Foundation
import Testing

@testable import Observability

/// What `deploy/` asks Prometheus for must be what the server tells it: a panel or an alert about a
/// measure that nobody writes is silent for ever.
@Suite struct MonitoringFilesTests {
  private static let deploy = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("deploy")

  /// Names of series with the values that each of their labels takes.
  private static let series: [String: [String: Set<String>]] = {
    var series: [String: [String: Set<String>]] = [:]
    for family in StatusMetrics.families(exampleRecord(), version: "0") {
      let text = Exposition.render([family], format: .prometheus)
      for line in text.split(separator: "\n") where !line.hasPrefix("#") {
        let name = String(line.prefix { $0 != "{" && $0 != " " })
        for label in family.samples.flatMap(\.labels) {
          series[name, default: [:]][label.name, default: []].insert(label.value)
        }
        series[name, default: [:]]["instance", default: []].insert("$instance")
      }
    }
    return series
  }()

  /// Whether all that an expression names is there.
  private static func check(_ expression: String, _ place: String) {
    for match in expression.matches(of: /(crosscut_[a-z0-9_]+)(?:\{([^}]*)\})?/) {
      let name = String(match.1)
      guard let labels = series[name] else {
        Issue.record("\(place): nobody writes \(name)")
        continue
      }
      for matcher in (match.2 ?? "").matches(of: /([a-z_]+)(=~|=)"([^"]*)"/) {
        guard let values = labels[String(matcher.1)] else {
          Issue.record("\(place): \(name) has no label \(matcher.1)")
          continue
        }
        let wanted = String(matcher.3)
        let isThere =
          matcher.2 == "="
          ? values.contains(wanted)
          : wanted.split(separator: "|").allSatisfy { part in
            part.hasSuffix(".*")
              ? values.contains { $0.hasPrefix(part.dropLast(2)) } : values.contains(String(part))
          }
        #expect(isThere, "\(place): \(name) has no \(wanted), only \(values.sorted())")
      }
    }
  }

  @Test func `every panel of the dashboard asks for measures that the server writes`() throws {
    let data = try Data(contentsOf: Self.deploy.appendingPathComponent("grafana/crosscut.json"))
    let dashboard = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let panels = try #require(dashboard["panels"] as? [[String: Any]])
    var expressions = 0
    for panel in panels {
      let title = panel["title"] as? String ?? "?"
      for target in panel["targets"] as? [[String: Any]] ?? [] {
        let expression = try #require(target["expr"] as? String, "\(title)")
        #expect(expression.contains("crosscut_"), "\(title)")
        Self.check(expression, "panel \(title)")
        expressions += 1
      }
    }
    #expect(expressions > 15)
    // The list of runs to choose from is a query as well.
    let templating = dashboard["templating"] as? [String: Any]
    for variable in templating?["list"] as? [[String: Any]] ?? [] {
      Self.check(String(describing: variable["query"] ?? ""), "a variable")
    }
  }

  @Test func `every alert asks for measures that the server writes`() throws {
    let rules = try String(
      contentsOf: Self.deploy.appendingPathComponent("prometheus/rules.yml"), encoding: .utf8)
    #expect(rules.components(separatedBy: "- alert:").count > 8)
    for line in rules.split(separator: "\n") { Self.check(String(line), "rules.yml") }
  }

  @Test func `a measure that nobody writes is found`() {
    withKnownIssue { Self.check("rate(crosscut_node_lost_total[1m])", "test") }
    withKnownIssue { Self.check(#"crosscut_node_step_seconds{phase="sleep"}"#, "test") }
    withKnownIssue { Self.check(#"crosscut_loss{node="worker 0"}"#, "test") }
  }
}
