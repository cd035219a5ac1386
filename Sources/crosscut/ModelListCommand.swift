import Configuration
import Network
import Tensors

/// `crosscut model list`: the presets.
enum ModelListCommand {
  static let command = Command(
    words: ["model", "list"],
    summary: "list the presets: networks with their recipes that are built in",
    details: [
      "A preset's name stands wherever a configuration file may, and in a file as its network."
        + " crosscut model show NAME --source prints its file."
    ],
    options: [.json],
    examples: [
      Example(
        line: "crosscut model list", meaning: "Names, inputs, classes, parameters, multiply-adds.")
    ],
    run: run)

  private struct Row {
    let name: String
    let input: [Int]
    let classes: Int
    let parameters: Int
    let multiplyAdds: Int
  }

  /// - Throws: what printing does.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let rows = try RunConfiguration.presetNames.map { name in
      let configuration = try RunConfiguration.preset(named: name)
      let plan = try configuration.networkPlan()
      let table = NetworkTable(name: name, plan: plan, precision: configuration.precision)
      return Row(
        name: name, input: plan.input.extents, classes: plan.classes,
        parameters: table.parameters, multiplyAdds: table.multiplyAdds)
    }
    try Console.print(arguments.has("json") ? json(rows).prettyText + "\n" : text(rows))
    return ExitCode.success
  }

  private static func text(_ rows: [Row]) -> String {
    let head = ["preset", "input", "classes", "parameters", "multiply-adds"]
    let cells = rows.map { row in
      [row.name, row.input.map { "\($0)" }.joined(separator: "x")]
        + [row.classes, row.parameters, row.multiplyAdds].map(NetworkTable.grouped)
    }
    return TextTable.lines([head] + cells, leftColumns: 2).map { $0 + "\n" }.joined()
  }

  private static func json(_ rows: [Row]) -> JSONValue {
    .array(
      rows.map { row in
        .object([
          .init("name", .string(row.name)), .init("input", .array(row.input.map { .int($0) })),
          .init("classes", .int(row.classes)), .init("parameters", .int(row.parameters)),
          .init("multiplyAdds", .int(row.multiplyAdds)),
        ])
      })
  }
}
