import Configuration

/// What options cost: the step of a cluster of processes with each of some settings, against one
/// without any of them, in alternating rounds.
///
/// `benchmarks option-cost [--with SETTINGS] [--base SETTINGS] [--network alexnet-owt] [--workers 2]
/// [--fc-nodes 2] [--batch 32] [--steps 20] [--rounds 3]`
///
/// `SETTINGS` are `KEY=VALUE` with a blank between two of them; `--with` takes several rows of them,
/// separated by `|`. Those of `--base` are in all rows.
enum OptionCostBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments,
      defaults: [
        "network": "alexnet-owt", "workers": "2", "fc-nodes": "2", "batch": "32", "steps": "20",
        "rounds": "3", "base": "", "crosscut": ".build/release/crosscut",
        "with": "checkpoint.everySteps=10|cluster.fcMirror=true",
      ])
    let base =
      [
        "globalBatch=\(try options.count("batch"))", "logging.everySteps=1",
        "compute.threadsPerNode=1", "evaluation={everyEpochs: 0, atEnd: false}",
      ] + words(options["base"])
    let rows = [[]] + options["with"].split(separator: "|").map { words(String($0)) }
    var milliseconds = rows.map { _ in [Double]() }
    for _ in 0..<(try options.count("rounds")) {
      for (index, row) in rows.enumerated() {
        let outcome = try ClusterRun.measure(
          options["crosscut"], options["network"], workers: options.count("workers"),
          fcNodes: options.count("fc-nodes"), steps: options.count("steps"), base + row)
        // Not the median step: what an option costs may be in every tenth.
        milliseconds[index].append(
          outcome.stepMilliseconds.reduce(0, +) / Double(outcome.stepMilliseconds.count))
      }
    }
    print(
      "\(options["network"]), \(options["workers"]) workers, \(options["fc-nodes"]) FC nodes, "
        + "\(base.joined(separator: " ")); mean steps of \(options["steps"]), medians of rounds")
    for (row, times) in zip(rows, milliseconds) {
      let name = row.isEmpty ? "as it is" : row.joined(separator: " ")
      let cost = (times.median / milliseconds[0].median - 1) * 100
      print(
        "\(name.padded(44)) \(Int(times.median.rounded())) ms "
          + "[\(times.map { "\(Int($0.rounded()))" }.joined(separator: ", "))]"
          + (row.isEmpty ? "" : ", \(cost < 0 ? "" : "+")\((cost * 10).rounded() / 10) %"))
    }
  }

  private static func words(_ text: String) -> [String] {
    text.split(separator: " ").map(String.init)
  }
}
