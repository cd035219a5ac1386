import Configuration
import Messages
import Nodes
import Observability
import Training
import Transport

/// `crosscut train --in-process`: the cluster as threads, watched like any other over its socket.
struct InProcessTraining {
  private let configuration: RunConfiguration
  private let directory: RunDirectory
  private let signals: Signals
  private let keys: KeyDirectory?
  private let resume: Checkpoint?
  private let goesOn: Bool

  init(
    _ configuration: RunConfiguration, _ directory: RunDirectory, _ signals: Signals,
    keys: KeyDirectory?, resume: Checkpoint?, goesOn: Bool
  ) {
    self.goesOn = goesOn
    self.keys = keys
    self.resume = resume
    self.configuration = configuration
    self.directory = directory
    self.signals = signals
  }

  /// Runs to the end and returns the last status.
  func run(listen: String?, http: HTTPServer.Options?, _ display: ProgressDisplay) throws
    -> StatusRecord
  {
    let directory = directory
    try directory.claim()
    let cluster = try InProcessCluster(
      configuration, listen: listen ?? "tcp://127.0.0.1:0", http: http,
      security: try keys.map { try ServerSecurity(keyFile: $0.serverKey) },
      runDirectory: directory, resume: resume, goesOn: goesOn && directory.hasTakenSteps(),
      log: { name in
        try Logger(path: directory.log(name.replacing(" ", with: "-")), name: name)
      })
    let credentials = try keys.map { try Credentials.keyFile(NodeKeyFile(path: $0.serverKey)) }
    let observer = try Observer(display, credentials)
    defer { observer.stop() }
    let stop = try cluster.runToEnd(
      signals: signals,
      page: { address in
        try directory.write(pageAddress: address)
        if let address { display.note("page: \(address)") }
      },
      started: { endpoint in
        try directory.write(address: endpoint)
        observer.start(endpoint)
      })
    guard stop.outcome != .failed, let record = directory.readSummary() else {
      let advice = NonFiniteAdvice.text(stop.reason, directory) ?? ""
      throw NodeError("the run failed: \(stop.reason) (logs in \(directory.path)\(advice))")
    }
    return record
  }

  /// Asks the server for its status on a thread of its own and shows it.
  private final class Observer {
    private let display: ProgressDisplay
    private let credentials: Credentials?
    private let done: Mailbox<Bool>
    private var thread: OwnedThread?

    init(_ display: ProgressDisplay, _ credentials: Credentials?) throws {
      self.credentials = credentials
      self.display = display
      done = try Mailbox()
    }

    func start(_ endpoint: String) {
      // Only this thread shows anything until `stop` has joined it.
      nonisolated(unsafe) let display = display
      let done = done
      let credentials = credentials
      thread = try? OwnedThread(name: "display") {
        guard let context = try? Context() else { return }
        defer { context.terminate() }
        guard
          let client = try? StatusClient(
            context: context, endpoint: endpoint, credentials: credentials)
        else { return }
        defer { client.close() }
        while done.take(milliseconds: 200) == nil {
          if let record = try? client.status(timeoutMilliseconds: 500) { display.show(record) }
        }
      }
    }

    func stop() {
      _ = done.post(true)
      thread?.join()
      thread = nil
    }
  }
}
