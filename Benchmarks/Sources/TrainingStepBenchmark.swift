import Glibc

/// A whole training step of AlexNet against PyTorch on the same two cores in the same run: data,
/// dropout, loss and update included, and on our side all processes and their messages.
///
/// Rounds alternate: `crosscut train` runs a few steps with one worker, then with two, then
/// PyTorch runs as many. Bars: images/s of the better of the two layouts over PyTorch's, and the
/// sum of the processes' largest resident memory while they train against PyTorch's.
enum TrainingStepBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments,
      defaults: [
        "python": "", "peer": "Benchmarks/peers/training_step.py",
        "crosscut": ".build/release/crosscut", "network": "alexnet-owt", "batch": "32",
        "precision": "fp32", "algorithm": "auto", "threads": "2", "rounds": "3", "steps": "5",
        "fc-nodes": "1", "layouts": "1,2",
      ])
    let batch = try options.count("batch")
    let threads = try options.count("threads")
    let steps = try options.count("steps")
    let rounds = try options.count("rounds")
    let fcNodes = try options.count("fc-nodes")
    let workers = options["layouts"].split(separator: ",").compactMap { Int($0) }
    let settings = [
      "globalBatch=\(batch)", "precision=\(options["precision"])",
      "compute.convAlgorithm=\(options["algorithm"])",
      "logging.everySteps=1", "evaluation={everyEpochs: 0, atEnd: false}",
      "checkpoint.everySteps=0",
    ]
    print(
      "\(options["network"]), batch \(batch), \(options["precision"]),"
        + " \(options["algorithm"]), \(threads) cores, \(rounds) rounds of \(steps) steps")

    var peer: Peer?
    if !options["python"].isEmpty {
      let started = try Peer([
        options["python"], options["peer"], options["network"], "\(batch)", "\(threads)",
        options["precision"], "\(steps)",
      ])
      let hello = try started.readLine().split(whereSeparator: \.isWhitespace)
      // Verify before believing the times: both are the same network.
      guard hello.count == 2, hello[0] == "61100840", let loss = Double(hello[1]),
        loss > 5, loss < 9
      else { throw BenchmarkError(description: "PyTorch's network is another: \(hello)") }
      peer = started
    }
    var contenders = workers.map { count in
      Contender(
        times: Times(
          name: "\(count) worker\(count == 1 ? "" : "s") + \(fcNodes) fc"
            + " node\(fcNodes == 1 ? "" : "s")"))
    }
    var torch = Contender(times: Times(name: "PyTorch channels_last"))
    for _ in 0..<rounds {
      for (index, count) in workers.enumerated() {
        let outcome = try ClusterRun.measure(
          options["crosscut"], options["network"], workers: count, fcNodes: fcNodes, steps: steps,
          settings)
        contenders[index].times.milliseconds += outcome.stepMilliseconds
        contenders[index].kilobytes = max(contenders[index].kilobytes, outcome.kilobytes)
        contenders[index].kilobytesAtEnd = max(
          contenders[index].kilobytesAtEnd ?? 0, outcome.kilobytesAtEnd)
      }
      guard let peer else { continue }
      let answer = try peer.ask().split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
      guard answer.count == steps + 1 else {
        throw BenchmarkError(description: "the peer answered \(answer)")
      }
      torch.times.milliseconds += answer.dropLast()
      torch.kilobytes = Int(answer[steps])
    }
    for contender in contenders + (peer == nil ? [] : [torch]) { print(contender.line(batch)) }
    guard peer != nil else { return }
    judge(contenders, torch, bar: bar(options["precision"], options["algorithm"], batch))
  }

  /// Of the ratio of images/s.
  private static func bar(_ precision: String, _ algorithm: String, _ batch: Int) -> Double {
    if precision == "bf16" { return batch < 128 ? 1.4 : 1.15 }
    return algorithm == "direct" ? 1.15 : 1.5
  }

  private static func judge(_ contenders: [Contender], _ torch: Contender, bar: Double) {
    for contender in contenders {
      let memory = Double(contender.kilobytes) / Double(torch.kilobytes)
      print(
        "\(contender.times.name.padded(24)) "
          + "\((torch.times.median / contender.times.median).text) x PyTorch's images/s median to"
          + " median, \((torch.times.best / contender.times.best).text) x best to best;"
          + " \(memory.text) x its memory")
    }
    let ratio = contenders.map { torch.times.median / $0.times.median }.max() ?? 0
    let leanest = contenders.map(\.kilobytes).min() ?? 0
    print(
      "better layout \(ratio.text) x, bar \(bar.text): \(ratio >= bar ? "met" : "MISSED");"
        + " memory at most PyTorch's: \(leanest <= torch.kilobytes ? "met" : "MISSED")")
  }

  /// One side's measurements.
  private struct Contender {
    var times: Times
    /// Largest resident memory in training, of a cluster the sum over its processes.
    var kilobytes = 0
    /// The same with a cluster's end.
    var kilobytesAtEnd: Int?

    func line(_ batch: Int) -> String {
      let rate = Double(batch) * 1000 / times.median
      return "\(times.line), \(rate.text) images/s, \(kilobytes / 1024) MiB"
        + (kilobytesAtEnd.map { ", \($0 / 1024) MiB with its end" } ?? "")
    }
  }
}
