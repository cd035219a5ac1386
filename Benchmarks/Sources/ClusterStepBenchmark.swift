import Configuration
import Coordination
import Glibc
import Kernels
import Messages
import Nodes
import Observability
import Synchronization
import Training
import Transport

/// What the protocol costs: a step of a cluster of one worker and one FC node against the same
/// kernels in one process without any protocol, and how responsive the socket threads stay.
///
/// `benchmarks cluster-step [--network alexnet-torchvision] [--batch 32] [--steps 8] [--rounds 3]
/// [--threads 2]`
enum ClusterStepBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments,
      defaults: [
        "network": "alexnet-torchvision", "batch": "32", "steps": "8", "rounds": "3",
        "threads": "2",
      ])
    let network = options["network"]
    let steps = try options.count("steps")
    let rounds = try options.count("rounds")
    let threads = try options.count("threads")
    let overrides = [
      "globalBatch=\(try options.count("batch"))", "steps=\(steps + warmUp)",
      "compute.threadsPerNode=\(threads)", "cluster.workers=1", "cluster.fcNodes=1",
      "evaluation={everyEpochs: 0, atEnd: false}",
    ]
    let configuration = try RunConfiguration.load(
      network, overrides: overrides.map { ConfigurationOverride($0) })
    print("\(network), \(overrides.joined(separator: " ")), \(rounds) interleaved rounds")

    var single = Times(name: "one process, kernels only")
    var cluster = Times(name: "1 worker + 1 fc node")
    var gap = 0.0
    for _ in 0..<rounds {
      let alone = try singleProcess(configuration, threads: threads)
      let together = try inCluster(configuration)
      guard let a = alone.losses.last, let b = together.losses.last else {
        throw BenchmarkError(description: "no loss was measured")
      }
      // Verify before believing the times: both do the same work.
      guard abs(a - b) <= 1e-2 * max(1, abs(a)) else {
        throw BenchmarkError(description: "the losses differ: \(a) alone, \(b) in the cluster")
      }
      single.milliseconds += alone.stepMilliseconds
      cluster.milliseconds += together.stepMilliseconds
      gap = max(gap, together.largestGapMilliseconds)
    }
    for times in [single, cluster] {
      print(
        "\(times.name.padded(26)) median \(whole(times.median)) ms, best \(whole(times.best)) ms")
    }
    print(
      "overhead of the protocol: median \(percent(cluster.median / single.median - 1)), "
        + "best \(percent(cluster.best / single.best - 1)) (bar: below 5 %)")
    print("largest pause of a socket thread: \(gap) ms (bar: 20 ms)")
  }

  /// Steps at the start that are not counted: primitives are made, pages touched.
  private static let warmUp = 2

  private struct Outcome {
    var stepMilliseconds: [Double] = []
    var losses: [Double] = []
    var largestGapMilliseconds = 0.0
  }

  private static func singleProcess(
    _ configuration: RunConfiguration, threads: Int
  ) throws -> Outcome {
    try onThread {
      ComputeThreads.use(threads)
      let recorder = Recorder()
      let trainer = try SingleProcessTrainer(RunContext(configuration), observer: recorder)
      try trainer.run()
      return recorder.outcome(skipping: warmUp)
    }
  }

  private static func inCluster(_ configuration: RunConfiguration) throws -> Outcome {
    let recorder = Recorder()
    let cluster = try InProcessCluster(
      configuration, listen: "tcp://127.0.0.1:0", observer: recorder,
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    let watcher = try PauseWatcher()
    let stop = try cluster.runToEnd(started: { watcher.start($0) })
    watcher.stop()
    guard stop.outcome == .finished else { throw BenchmarkError(description: stop.reason) }
    var outcome = recorder.outcome(skipping: warmUp)
    outcome.largestGapMilliseconds = watcher.largest
    return outcome
  }

  /// Asks the server again and again how long its members' socket threads were away.
  private final class PauseWatcher {
    private final class Shared: Sendable {
      let largest = Mutex(0.0)
      let done: Mailbox<Bool>
      init() throws { done = try Mailbox() }
    }

    private let shared: Shared
    private var thread: OwnedThread?

    init() throws { shared = try Shared() }

    var largest: Double { shared.largest.withLock { $0 } }

    func start(_ endpoint: String) {
      let shared = shared
      thread = try? OwnedThread(name: "watch") {
        guard let context = try? Context() else { return }
        defer { context.terminate() }
        guard let client = try? StatusClient(context: context, endpoint: endpoint) else { return }
        defer { client.close() }
        while shared.done.take(milliseconds: 250) == nil {
          guard let record = try? client.status(timeoutMilliseconds: 500), record.step >= 2 else {
            continue
          }
          let gap = record.nodes.map(\.largestGapMilliseconds).max() ?? 0
          shared.largest.withLock { $0 = max($0, gap) }
        }
      }
    }

    func stop() {
      _ = shared.done.post(true)
      thread?.join()
    }
  }

  /// Notes when each step's loss is known.
  private final class Recorder: RunObserver {
    private let state = Mutex<[(seconds: Double, loss: Double)]>([])

    func trained(step: UInt64, loss: Double, accuracy: Double) {
      let now = Double(MonotonicClock.now()) / 1_000_000
      state.withLock { $0.append((now, loss)) }
    }

    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {}

    func outcome(skipping: Int) -> Outcome {
      let entries = state.withLock { $0 }
      var outcome = Outcome()
      outcome.losses = entries.map(\.loss)
      for (before, after) in zip(entries, entries.dropFirst()).dropFirst(skipping) {
        outcome.stepMilliseconds.append((after.seconds - before.seconds) * 1000)
      }
      return outcome
    }
  }

  private static func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let thread = try OwnedThread(name: "single") {
      let outcome = Result { try body() }
      result.withLock { $0 = outcome }
    }
    thread.join()
    guard let outcome = result.withLock({ $0 }) else {
      throw BenchmarkError(description: "no result")
    }
    return try outcome.get()
  }

  private static func whole(_ value: Double) -> Int { Int(value.rounded()) }

  private static func percent(_ ratio: Double) -> String {
    "\((ratio * 1000).rounded() / 10) %"
  }
}
