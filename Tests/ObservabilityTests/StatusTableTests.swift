import Messages
import Testing

@testable import Observability

@Suite struct StatusTableTests {
  private func strip(_ text: String) -> String {
    var plain = ""
    var isEscape = false
    for character in text {
      if character == "\u{1B}" { isEscape = true }
      if !isEscape { plain.append(character) }
      if isEscape && character == "m" { isEscape = false }
    }
    return plain
  }

  @Test func `a run in bf16 says so, one in fp32 need not`() {
    var record = exampleRecord()
    record.precision = "fp32"
    #expect(
      StatusTable.render(record, columns: 80, color: false)
        == StatusTable.render(exampleRecord(), columns: 80, color: false))
    record.precision = "bf16"
    #expect(
      StatusTable.render(record, columns: 80, color: false).contains("learning rate 0.01  bf16\n"))
  }

  @Test func `made-up data is named, pictures need not be`() {
    for (kind, isNamed) in [("synthetic", true), ("folder", false), (nil, false)] {
      var record = exampleRecord()
      record.dataset = DatasetRecord(
        kind: kind, trainingExamples: 400, evaluationExamples: 64, fingerprint: "1")
      let table = StatusTable.render(record, columns: 80, color: false)
      #expect(table.contains("synthetic data") == isNamed)
    }
  }

  @Test func `a terminal of 80 columns shows the run and where the time goes`() {
    #expect(
      StatusTable.render(exampleRecord(), columns: 80, color: false) == """
        fashion  running  run 000000003f2a0001  view 3  1 min 08 s
        step 812/2345  epoch 1.73/5  ██████▉·············  35 %  ETA 2 min 09 s
        loss 0.4124  accuracy 85.2 %  1523 images/s  learning rate 0.01
        test accuracy 84.7 %  top-5 99.2 %  loss 0.4312  after step 600

        node      state    beat  turn  data  conv fwd  wait fc  conv bwd  wait par
        worker 0  active  0.2 s   830   0.1      20.4      9.0      41.3       3.3
        worker 1  active  0.2 s   830   0.1      20.4      9.0      41.3       3.3

        node         sent  received  memory  phase         host    pid
        worker 0  1.23 MB   98.8 MB  183 MB  conv forward  host0  4711
        worker 1  1.23 MB   98.8 MB  183 MB  conv forward  host1  4711

        node  state    beat  turn  compute  wait peers
        fc 0  active  0.2 s   830      8.0        66.0
        fc 1  active  0.2 s   830      8.0        66.0

        node     sent  received  memory  phase         host    pid
        fc 0  1.23 MB   98.8 MB  183 MB  conv forward  host0  4711
        fc 1  1.23 MB   98.8 MB  183 MB  conv forward  host1  4711

        2.1 s  view 3: worker 1 joined

        """)
  }

  @Test func `a narrow terminal loses whole columns and values`() {
    var record = exampleRecord()
    record.events = []
    record.message = "waiting for 1 more fc node, then on"
    record.nodes[1].state = .silent
    #expect(
      StatusTable.render(record, columns: 34, color: false) == """
        fashion  running
        step 812/2345  epoch 1.73/5  35 %
        loss 0.4124  accuracy 85.2 %
        test accuracy 84.7 %  top-5 99.2 %
        waiting for 1 more fc node, then …

        node      state    beat  wait par
        worker 0  active  0.2 s       3.3
        worker 1  silent  0.2 s       3.3

        node         sent  memory
        worker 0  1.23 MB  183 MB
        worker 1  1.23 MB  183 MB

        node  state    beat  wait peers
        fc 0  active  0.2 s        66.0
        fc 1  active  0.2 s        66.0

        node     sent  received  memory
        fc 0  1.23 MB   98.8 MB  183 MB
        fc 1  1.23 MB   98.8 MB  183 MB

        """)
  }

  @Test func `80 columns have room for every measure of large numbers and long names`() throws {
    var record = exampleRecord()
    for index in record.nodes.indices {
      record.nodes[index].rank = 1000 + index
      record.nodes[index].turn = 1_234_567
      record.nodes[index].host = String(repeating: "long-", count: 12)
      record.nodes[index].processID = 4_194_303
      record.nodes[index].bytesSent = 99_900_000_000
      record.nodes[index].residentBytes = 12_300_000_000
      record.nodes[index].stepMilliseconds.convBackward = 12_345.6
      record.nodes[index].stepMilliseconds.data = 123.4
      record.nodes[index].droppedMessages = 17
    }
    let table = StatusTable.render(record, columns: 80, color: false)
    for title in [
      "data", "conv fwd", "wait fc", "conv bwd", "wait par", "compute", "wait peers", "sent",
      "received", "memory", "host", "pid",
    ] { #expect(table.contains(title), "\(title)") }
    #expect(table.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test func `a wide terminal has one line for each node`() {
    let table = StatusTable.render(exampleRecord(), columns: 150, color: false)
    #expect(table.split(separator: "\n").count { $0.hasPrefix("worker 0") } == 1)
    #expect(table.contains("wait par     sent  received  memory  phase         host    pid"))
  }

  @Test func `what is rare has its columns only when it happens`() {
    var record = exampleRecord()
    #expect(!StatusTable.render(record, columns: 200, color: false).contains("dropped"))
    record.nodes[0].droppedMessages = 3
    record.nodes[1].largestGapMilliseconds = 250
    let table = StatusTable.render(record, columns: 200, color: false)
    #expect(table.contains("memory  dropped    gap  phase"))
    #expect(table.contains("183 MB        3         conv forward  host0  4711"))
    #expect(table.contains("183 MB           0.3 s  conv forward  host1  4711"))
  }

  @Test(arguments: 20...160)
  func `no line is wider than the terminal, and colours change no character`(columns: Int) {
    var record = exampleRecord()
    record.message = String(repeating: "long ", count: 50)
    record.name = String(repeating: "n", count: 70)
    let plain = StatusTable.render(record, columns: columns, color: false)
    for line in plain.split(separator: "\n") { #expect(line.count <= columns) }
    let colored = StatusTable.render(record, columns: columns, color: true)
    #expect(colored != plain)
    #expect(strip(colored) == plain)
    let line = ProgressLine.render(record, columns: columns, color: false)
    #expect(line.count <= columns)
    #expect(strip(ProgressLine.render(record, columns: columns, color: true)) == line)
  }

  @Test func `a run that has not begun and one that failed have tables too`() {
    var record = StatusRecord(run: 1, name: "fashion")
    record.message = "waiting for 2 more workers"
    #expect(
      StatusTable.render(record, columns: 80, color: false) == """
        fashion  gathering  run 0000000000000001  view 0  0.0 s
        step 0/0  epoch 0.00/0  ····················  0 %
        loss -  accuracy -
        waiting for 2 more workers

        """)
    record.state = .failed
    record.message = "worker 0 \u{1B}[31mleft"
    #expect(
      StatusTable.render(record, columns: 80, color: true)
        .contains("\u{1B}[31mworker 0 ?[31mleft\u{1B}[0m"))
  }
}

@Suite struct ProgressLineTests {
  @Test func `the line shows what matters, the bar where there is room`() {
    let record = exampleRecord()
    #expect(
      ProgressLine.render(record, columns: 140, color: false)
        == "██████▉·············  step 812/2345  epoch 1.73  loss 0.412  acc 85.2 %  1523 img/s  "
        + "ETA 2 min 09 s  test 84.7 %  2/2 workers 2/2 fc")
    #expect(
      ProgressLine.render(record, columns: 80, color: false)
        == "step 812/2345  epoch 1.73  loss 0.412  acc 85.2 %  1523 img/s  ETA 2 min 09 s")
    #expect(
      ProgressLine.render(record, columns: 30, color: false) == "step 812/2345  epoch 1.73")
  }

  @Test func `before the first step it says who is missing`() {
    var record = StatusRecord(run: 1, name: "fashion")
    record.workersWanted = 2
    record.fcNodesWanted = 2
    record.nodes = [exampleNode(.worker, 0, .joined), exampleNode(.fc, 0, .gone)]
    record.message = "waiting for 1 more worker and 2 more fc nodes"
    #expect(
      ProgressLine.render(record, columns: 100, color: false)
        == "gathering  1/2 workers 0/2 fc  waiting for 1 more worker and 2 more fc nodes")
  }

  @Test func `an evaluation is named, a message comes last`() {
    var record = exampleRecord()
    record.state = .evaluating
    record.message = "worker 1 is silent"
    #expect(
      ProgressLine.render(record, columns: 200, color: false).hasSuffix(
        "epoch 1.73  evaluating  loss 0.412  acc 85.2 %  1523 img/s  ETA 2 min 09 s  "
          + "test 84.7 %  2/2 workers 2/2 fc  worker 1 is silent"))
  }

  @Test func `a plain line has every field`() {
    var record = exampleRecord()
    #expect(
      PlainLine.render(record)
        == "running  step 812/2345  epoch 1.73  loss 0.4124  accuracy 85.2 %  test 84.7 %  "
        + "1523 images/s  ETA 2 min 09 s  2/2 workers, 2/2 fc nodes")
    record.state = .gathering
    record.message = "waiting\nfor 1 more worker"
    record.nodes = []
    #expect(
      PlainLine.render(record)
        == "gathering  0/2 workers, 0/2 fc nodes  waiting?for 1 more worker")
    record.workersWanted = 1
    record.fcNodesWanted = 1
    #expect(
      PlainLine.render(record) == "gathering  0/1 worker, 0/1 fc node  waiting?for 1 more worker")
  }
}
