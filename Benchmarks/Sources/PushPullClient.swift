import Coordination
import Messages
import Nodes
import Synchronization
import Tensors
import Transport
import Wire

/// A member of a cluster that computes nothing: as a worker it pushes the same gradient for every
/// chunk as soon as all parameters of the step before are there, as an FC node it is only present.
final class PushPullClient {
  /// Steps that a worker has done so far, and when.
  final class Progress: Sendable {
    private let times = Mutex<[ContinuousClock.Instant]>([])

    var steps: [ContinuousClock.Instant] { times.withLock { $0 } }

    func note() { times.withLock { $0.append(.now) } }
  }

  private let hub: Hub
  private let role: Role
  private let control: Hub.Link
  private let bulk: Hub.Link
  private var identity: Header
  private let gradients: [Frame]
  private let progress: Progress
  private var lastWord = ContinuousClock.now - .seconds(60)
  private var turn: UInt64 = 0
  private var received = 0
  private var isOver = false

  /// - Parameters:
  ///   - gradients: one of each chunk; nothing for an FC node.
  init(
    _ role: Role, context: Context, server: String, gradients: [Frame], progress: Progress
  ) throws {
    self.role = role
    self.gradients = gradients
    self.progress = progress
    identity = Header(run: 0, view: 0, sender: .server, incarnation: .random(in: 1 ... .max))
    hub = try Hub(context: context, listen: nil)
    control = try hub.dial(server)
    bulk = try hub.dial(server)
  }

  /// Takes part until the server says the last word.
  func run() throws {
    defer { hub.close(lingerMilliseconds: 1000) }
    while !isOver {
      try speak()
      _ = try hub.wait(milliseconds: 50, wakeUp: nil)
      _ = hub.takeEvents()
      while !isOver, let (_, parts) = try hub.receive() { try take(WireCodec.decode(parts)) }
    }
  }

  private func send(_ body: Body, _ frames: [Frame] = [], over link: Hub.Link) throws {
    guard hub.send(try WireCodec.encode(Message(identity, body, frames: frames)), to: link) else {
      throw BenchmarkError(description: "the server does not take a message")
    }
  }

  /// Joins, and shows signs of life once it has.
  private func speak() throws {
    guard ContinuousClock.now - lastWord > .milliseconds(300) else { return }
    lastWord = .now
    guard identity.run != 0 else {
      let join = Join(
        role: role, host: "benchmark", processID: 1, softwareVersion: Version.text,
        endpoint: role == .fc ? "tcp://127.0.0.1:1" : "", preferredRank: -1)
      return try send(.join(join), over: control)
    }
    let facts = DatasetFacts(trainingExamples: 1 << 20, evaluationExamples: 0, fingerprint: 1)
    let beat = Heartbeat(
      ready: true, dataset: role == .worker ? facts : nil, turn: turn, phase: "benchmark",
      millisecondsSinceProgress: 0, telemetry: Telemetry(), waits: [])
    try send(.heartbeat(beat), over: control)
  }

  private func take(_ message: Message) throws {
    switch message.body {
    case .welcome(let welcome):
      identity.run = message.header.run
      identity.sender = welcome.node
      lastWord = .now - .seconds(1)
    case .view(let view):
      identity.view = view.number
      turn = view.resumeTurn
      received = 0
      // An FC node that goes lets the server end without its slices.
      if view.isFinal, role == .fc { try send(.goodbye, over: control) }
    case .parameters(let parameters):
      guard parameters.version >= turn, !gradients.isEmpty else { return }
      received += 1
      guard received == gradients.count else { return }
      received = 0
      if parameters.version > turn { progress.note() }
      turn = parameters.version
      for (chunk, frame) in gradients.enumerated() {
        try send(.push(Push(turn: turn, chunk: chunk)), [frame], over: bulk)
      }
    case .stop:
      try send(.goodbye, over: control)
      isOver = true
    case .refusal(let refusal): throw BenchmarkError(description: refusal.reason)
    default: break
    }
  }
}
