import Messages
import Testing

@testable import Observability

@Suite struct RunComparisonTests {
  static let text = """
    {"accuracy":0.1,"epoch":0.5,"kind":"training","learningRate":0.1,"loss":2.5,"secondsSinceStart":1,"step":10}
    {"accuracy":0.5,"epoch":1,"imagesPerSecond":200,"kind":"training","learningRate":0.1,"loss":1.5,"secondsSinceStart":2,"step":20}
    {"accuracy":0.6,"epoch":1,"kind":"evaluation","loss":1.25,"secondsSinceStart":3,"step":20,"top5":0.9}
    {"kind":"something newer","step":1}
    {"accuracy":0.7,"epoch":1.5,"imagesPerSecond":300,"kind":"training","learningRate":0.1,"loss":"NaN","secondsSinceStart":4,"step":30}
    {"accuracy":0.55,"epoch":1.5,"kind":"evaluation","loss":1.5,"secondsSinceStart":5,"step":30}

    """

  static func run(_ name: String) throws -> RunComparison.Run {
    .init(name: name, metrics: try MetricsFile(text, name: "metrics.jsonl"))
  }

  @Test func `records are read, newer kinds and unfinished lines passed over`() throws {
    let file = try MetricsFile(Self.text + #"{"kind":"trai"#, name: "m")
    #expect(file.training.map(\.step) == [10, 20, 30])
    #expect(file.evaluations.map(\.accuracy) == [0.6, 0.55])
    #expect(try MetricsFile("", name: "m").training.isEmpty)
  }

  @Test func `steps that were done again count once`() throws {
    let file = try MetricsFile(Self.text + Self.text, name: "m")
    #expect(file.training.map(\.step) == [10, 20, 30])
    #expect(file.evaluations.map(\.step) == [20, 30])
  }

  @Test func `a run on made-up data is named so`() throws {
    let text = Self.text.replacing("\"epoch\"", with: "\"data\":\"synthetic\",\"epoch\"")
    let table = RunComparison([
      .init(name: "one", metrics: try MetricsFile(text, name: "m")), try Self.run("other"),
    ]).table(columns: 100, color: false)
    #expect(table.contains("one (synthetic data)") && !table.contains("other (synthetic"))
  }

  @Test(arguments: [
    ("nonsense\n", "m: line 1: not JSON"), ("\n{\"kind\":1}\n", "m: line 2: kind is not a text"),
    ("{\"kind\":\"training\"}\n", "m: line 1: step is missing"),
  ])
  func `a broken line is named`(text: String, expected: String) {
    let error = #expect(throws: ObservabilityError.self) { try MetricsFile(text, name: "m") }
    #expect(error?.message.hasPrefix(expected) == true, "\(error?.message ?? "")")
  }

  @Test func `CSV has a line a record, in the order of the steps`() throws {
    #expect(
      try MetricsFile(Self.text, name: "m").csv() == """
        kind,step,epoch,loss,accuracy,top5,learningRate,imagesPerSecond,secondsSinceStart
        training,10,0.5,2.5,0.1,,0.1,,1.0
        training,20,1.0,1.5,0.5,,0.1,200.0,2.0
        evaluation,20,1.0,1.25,0.6,0.9,,,3.0
        training,30,1.5,nan,0.7,,0.1,300.0,4.0
        evaluation,30,1.5,1.5,0.55,,,,5.0

        """)
  }

  @Test func `the table has the last and the best of each run`() throws {
    #expect(
      RunComparison([try Self.run("one"), try Self.run("other")]).table(columns: 100, color: false)
        == """
        run    steps   time  loss  test loss  test acc    best  at step  images/s
        one       30  5.0 s   nan     1.5000    55.0 %  60.0 %       20       300
        other     30  5.0 s   nan     1.5000    55.0 %  60.0 %       20       300

        """)
  }

  @Test func `the drawing is one document, whatever the names and numbers are`() throws {
    let svg = RunComparison([
      try Self.run("<a & b>"), .init(name: "empty", metrics: try MetricsFile("", name: "m")),
    ]).svg()
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    #expect(svg.contains("&lt;a &amp; b&gt;") && !svg.contains("<a &"))
    #expect(!svg.contains("nan") && !svg.contains("inf"))
    #expect(svg.split(separator: "<circle").count == 5)
  }

  @Test func `nodes are a line each`() {
    var record = exampleRecord()
    record.nodes = [exampleNode(.worker, 1, waits: [wait(.fc, 0, "features of turn 3", 1500)])]
    #expect(
      NodesTable.render(record, columns: 200, color: false) == """
        node      state   host    pid  heard  memory  phase         waits for
        worker 1  active  host1  4711  0.2 s  183 MB  conv forward  fc 0: features of turn 3 (1.5 s)

        """)
    record.nodes = []
    #expect(NodesTable.render(record, columns: 80, color: false) == "no node has joined yet\n")
  }
}
