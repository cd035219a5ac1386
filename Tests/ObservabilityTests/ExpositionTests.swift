import Messages
import Testing

@testable import Observability

@Suite struct ExpositionTests {
  static let families = [
    Exposition.Family(
      name: "a_bytes", kind: .counter, unit: "bytes", help: "With \"quotes\" and a\nbreak.",
      samples: [
        .init(labels: [("host", "a\"b\\c\nd")], value: 5),
        .init(labels: [("host", "x"), ("role", "fc")], value: 0.25),
      ]),
    Exposition.Family(name: "none", kind: .gauge, help: "Nothing yet.", samples: []),
    Exposition.Family(
      name: "b", kind: .gauge, help: "Odd values.",
      samples: [.init(value: .nan), .init(value: .infinity), .init(value: -.infinity)]),
    Exposition.Family(name: "c", kind: .info, help: "Facts.", samples: [.init(value: 1)]),
  ]

  @Test func `the format of Prometheus, to the letter`() {
    #expect(
      Exposition.render(Self.families, format: .prometheus) == #"""
        # HELP a_bytes_total With "quotes" and a\nbreak.
        # TYPE a_bytes_total counter
        a_bytes_total{host="a\"b\\c\nd"} 5
        a_bytes_total{host="x",role="fc"} 0.25
        # HELP b Odd values.
        # TYPE b gauge
        b NaN
        b +Inf
        b -Inf
        # HELP c_info Facts.
        # TYPE c_info gauge
        c_info 1

        """#)
  }

  @Test func `OpenMetrics, to the letter`() {
    #expect(
      Exposition.render(Self.families, format: .openMetrics) == #"""
        # HELP a_bytes With \"quotes\" and a\nbreak.
        # TYPE a_bytes counter
        # UNIT a_bytes bytes
        a_bytes_total{host="a\"b\\c\nd"} 5
        a_bytes_total{host="x",role="fc"} 0.25
        # HELP b Odd values.
        # TYPE b gauge
        b NaN
        b +Inf
        b -Inf
        # HELP c Facts.
        # TYPE c info
        c_info 1
        # EOF

        """#)
  }

  @Test func `a status record in base units`() {
    let text = Exposition.render(
      StatusMetrics.families(exampleRecord(), version: "1.2.3"), format: .prometheus)
    for line in [
      #"crosscut_build_info{version="1.2.3"} 1"#, #"crosscut_run_state{state="running"} 1"#,
      #"crosscut_run_state{state="failed"} 0"#, "crosscut_accuracy_ratio 0.8523",
      #"crosscut_nodes{role="worker",state="active"} 2"#,
      #"crosscut_node_step_seconds{node="worker 0",role="worker",host="host0",phase="waiting_for_fc"} 0.009"#,
      #"crosscut_node_sent_bytes_total{node="fc 1",role="fc",host="host1"} 1234567"#,
      #"crosscut_node_heartbeat_age_seconds{node="fc 0",role="fc",host="host0"} 0.21"#,
    ] {
      #expect(text.contains("\n" + line + "\n") || text.hasPrefix(line), "\(line)")
    }
  }

  @Test func `a name that stands there twice has one series`() {
    var record = exampleRecord()
    record.nodes.insert(exampleNode(.worker, 0, .gone), at: 0)
    let text = Exposition.render(
      StatusMetrics.families(record, version: ""), format: .prometheus)
    let lines = text.split(separator: "\n")
      .filter { $0.hasPrefix(#"crosscut_node_up{node="worker 0""#) }
    #expect(lines.count == 1)
    #expect(lines.first?.hasSuffix(" 1") == true)
    #expect(text.contains(#"crosscut_nodes{role="worker",state="gone"} 1"#))
  }

  @Test func `a run of which nothing is known yet is fine`() {
    let text = Exposition.render(
      StatusMetrics.families(StatusRecord(run: 1, name: "x"), version: ""), format: .prometheus)
    #expect(!text.contains("crosscut_loss"))
    #expect(text.contains("crosscut_steps_total 0\n"))
  }
}
