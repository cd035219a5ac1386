import Configuration
import Glibc
package import Messages
import Network
package import Observability
package import Training
package import Transport

/// A parameter server from its start to the end of the run: one `ServerNode`, and another one at
/// the same address whenever the FC layers are cut anew among the FC nodes that are left.
package struct ServerLife {
  private let context: Context
  private var run: RunContext
  private var options: ServerOptions
  private let log: Logger
  private let commands: Mailbox<String>
  private let signals: Signals?
  private let probe: (any StepProbe)?
  private let observer: (any RunObserver)?
  private let onModel: (@Sendable (ModelTensors) -> Void)?

  /// - Parameter onModel: sees the trained parameters at the end.
  package init(
    context: Context, run: RunContext, options: ServerOptions, log: Logger,
    commands: Mailbox<String>, signals: Signals? = nil, probe: (any StepProbe)? = nil,
    observer: (any RunObserver)? = nil, onModel: (@Sendable (ModelTensors) -> Void)? = nil
  ) {
    self.context = context
    self.run = run
    self.options = options
    self.log = log
    self.commands = commands
    self.signals = signals
    self.probe = probe
    self.observer = observer
    self.onModel = onModel
  }

  /// Runs to the end of the run, on the calling thread.
  ///
  /// - Parameters:
  ///   - page: called once with the address of the page, before `started`.
  ///   - started: called once with the endpoint at which the server listens.
  package mutating func runToEnd(
    page: (String?) throws -> Void = { _ in }, started: (String) throws -> Void
  ) throws -> Stop {
    for line in options.resume?.manifest.differences(from: run.configuration) ?? [] {
      log.warning(line)
      options.news.append(line)
    }
    try options.resume?.check(against: run.network.parameters)
    options.followsDeath = options.goesOn && options.runDirectory?.lastServerDied == true
    var node = try makeNode()
    options.listen = node.endpoint
    if let bound = node.httpAddress { options.http?.address = bound }
    do {
      // Not before the run is sure to begin: another port, another network, and nothing has happened.
      try options.runDirectory?.begin(
        run.configuration, from: options.resume, goesOn: options.goesOn
      ) { try settleCheckpoints() }
      node.news = options.news
      try page(node.pageAddress)
      try started(node.endpoint)
    } catch {
      node.abandon()
      throw error
    }
    while true {
      switch try node.run() {
      case .stop(let stop): return stop
      case .recut(let fcNodes):
        log.info("the fc layers are cut anew among \(fcNodes) fc nodes")
        options.rateChanges = node.validation.rates.changes
        try prepare(fcNodes: fcNodes)
        node = try Rebinding.retry { try makeNode() }
      }
    }
  }

  private func makeNode() throws -> ServerNode {
    try ServerNode(
      context: context, run: run, options: options, log: log, commands: commands, signals: signals,
      probe: probe, observer: observer, onModel: onModel)
  }

  /// A run's configuration with so many FC nodes: every member will check it.
  static func recut(
    _ configuration: RunConfiguration, _ fcNodes: Int
  ) throws(ConfigurationError) -> RunConfiguration {
    var configuration = configuration
    configuration.cluster.fcNodes = fcNodes
    // The last one has no other to keep its slice too.
    if fcNodes == 1 { configuration.cluster.fcMirror = false }
    try configuration.validate()
    return configuration
  }

  private mutating func prepare(fcNodes: Int) throws {
    run = try RunContext(Self.recut(run.configuration, fcNodes), inputs: run.inputs)
    options.goesOn = true
    options.followsDeath = false
    options.news = []
    guard let directory = options.runDirectory else { return }
    do throws(NodeError) {
      // A server that is started again would wait for the FC node that is not replaced.
      try directory.write(run.configuration)
    } catch {
      log.warning("\(error)")
    }
    options.resume =
      try directory.newestCheckpoint(
        wait: {
          // Who wants it to end does not wait for that.
          var entry = pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
          return poll(&entry, 1, 1000) <= 0
        }, { log.warning($0) }) ?? options.resume
    try settleCheckpoints()
  }

  /// Sees to it that a later start goes on from where this one does, and from what comes of it.
  private mutating func settleCheckpoints() throws(CheckpointError) {
    guard let directory = options.runDirectory, directory.hasCheckpoints else { return }
    try CheckpointStore(directory: directory.checkpoints, keep: 1).goOn(from: options.resume) {
      log.warning($0)
      options.news.append($0)
    }
  }
}

/// Opening sockets where others have just been closed.
enum Rebinding {
  /// Calls `body` until the address is free: ZeroMQ lets go of one on a thread of its own, a moment
  /// after the socket is closed.
  ///
  /// Attempts are counted, not time: of that, a process that was stopped has had none.
  ///
  /// - Throws: what `body` throws, if it is anything else or the address stays taken for about 5 s.
  static func retry<Value>(_ body: () throws -> Value) throws -> Value {
    var attempts = 250
    while true {
      do {
        return try body()
      } catch let error as TransportError where error.code == EADDRINUSE {
        attempts -= 1
        guard attempts > 0 else { throw error }
        poll(nil, 0, 20)
      }
    }
  }
}
