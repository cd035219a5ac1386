import Configuration
import Coordination
import Messages
import Network
import Nodes
import Observability
import Tensors
import Training
import Transport

/// What the parameter server moves: gradients in and parameters out, with its sums and its
/// optimizer, against two bare ZeroMQ sockets that send frames of the same size back and forth on
/// the same loopback; and against sockets that wait for all pushes, as any parameter server must, without
/// and with the arithmetic of the step.
///
/// `benchmarks goodput [--network alexnet-owt] [--workers 1,4,16] [--seconds 4] [--rounds 3]`
enum GoodputBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments,
      defaults: ["network": "alexnet-owt", "workers": "1,4,16", "seconds": "4", "rounds": "3"])
    let seconds = try options.count("seconds")
    let rounds = try options.count("rounds")
    let counts = options["workers"].split(separator: ",").map { Int($0) ?? 0 }
    guard !counts.isEmpty, counts.allSatisfy({ $0 > 0 }) else {
      throw BenchmarkError(description: "--workers \(options["workers"]): expected counts")
    }
    for count in counts {
      let configuration = try RunConfiguration.load(
        options["network"],
        overrides: [
          "globalBatch=\(max(count, 32))", "steps=100000000", "cluster.workers=\(count)",
          "cluster.fcNodes=1", "evaluation={everyEpochs: 0, atEnd: false}",
        ].map { ConfigurationOverride($0) })
      let context = try RunContext(configuration)
      var served: [Double] = []
      var bare: [Double] = []
      var inLockStep: [Double] = []
      var computing: [Double] = []
      let sgd = context.network.stages.lazy.compactMap { $0.parts(of: 0..<$0.parameterCount).first }
        .first.map { context.sgd($0.entry, step: 0, of: 1) }
      for _ in 0..<rounds {
        bare.append(try BareSockets.rate(context.plan.chunks, seconds: seconds))
        served.append(try rate(context, seconds: seconds))
        inLockStep.append(
          try BareServer.rate(
            context.plan.chunks, workers: count, stepping: nil, seconds: seconds))
        computing.append(
          try BareServer.rate(
            context.plan.chunks, workers: count, stepping: sgd, seconds: seconds))
      }
      let (ours, theirs) = (served.median, bare.median)
      func part(of rate: Double) -> String {
        "\(Int(rate)) MB/s, \(Int((100 * ours / rate).rounded())) %"
      }
      print(
        "\(count) worker\(count == 1 ? "" : "s"): server \(Int(ours)) MB/s, bare sockets "
          + "\(part(of: theirs)) (median of \(rounds), both directions together; bar: 80 %); bare "
          + "sockets in lock step \(part(of: inLockStep.median)); with a step's arithmetic and nothing "
          + "else \(part(of: computing.median))")
    }
  }

  /// MB/s through a real server, both directions together.
  private static func rate(_ run: RunContext, seconds: Int) throws -> Double {
    let context = try Context()
    defer { context.terminate() }
    let server = try Server(run, context)
    let chunks = run.plan.chunks.chunks
    let gradients = chunks.map { Frame(copying: [Float](repeating: 0, count: $0.range.count)) }
    let progress = PushPullClient.Progress()
    let ended = try Mailbox<String>()
    let workers = run.plan.workersWanted
    var threads: [OwnedThread] = []
    for member in 0...workers {
      threads.append(
        try OwnedThread(name: "member \(member)") { [endpoint = server.endpoint] in
          do {
            // A context of its own, as a process has.
            let context = try Context()
            defer { context.terminate() }
            let client = try PushPullClient(
              member == 0 ? .fc : .worker, context: context, server: endpoint,
              gradients: member == 0 ? [] : gradients,
              progress: member == 1 ? progress : PushPullClient.Progress())
            try client.run()
          } catch {
            ended.post("\(error)")
          }
        })
    }
    let failure = ended.take(milliseconds: seconds * 1000 + 1000)
    server.stop()
    for thread in threads { thread.join() }
    if let failure { throw BenchmarkError(description: failure) }
    // The first steps pay for handshakes and first touches.
    let times = Array(progress.steps.dropFirst(3))
    guard let first = times.first, let last = times.last, times.count > 3 else {
      throw BenchmarkError(description: "only \(progress.steps.count) steps")
    }
    let bytes = 2 * 4 * chunks.reduce(0) { $0 + $1.range.count } * workers
    return Double(bytes) * Double(times.count - 1) / ((last - first) / .seconds(1)) / 1_000_000
  }

  /// A parameter server on a thread.
  private final class Server {
    let endpoint: String
    private let commands: Mailbox<String>
    private let thread: OwnedThread

    init(_ run: RunContext, _ context: Context) throws {
      let commands = try Mailbox<String>()
      let started = try Mailbox<String>()
      self.commands = commands
      thread = try OwnedThread(name: "server") {
        do {
          let log = Logger(descriptor: 2, name: "server", level: .error)
          let server = try ServerNode(
            context: context, run: run,
            options: ServerOptions(listen: "tcp://127.0.0.1:0", threads: 1), log: log,
            commands: commands)
          started.post(server.endpoint)
          _ = try server.run()
        } catch {
          started.close()
        }
      }
      guard let endpoint = started.take() else {
        throw BenchmarkError(description: "the server does not start")
      }
      self.endpoint = endpoint
    }

    func stop() {
      commands.post("measured")
      thread.join()
    }
  }
}
