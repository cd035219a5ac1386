import Glibc
import Tensors
import Testing

@testable import Transport

/// The ways two hubs can be connected.
enum Scheme: String, CaseIterable, Sendable {
  case inproc
  case ipc
  case tcp
}

/// Where to listen so that no two tests meet, and the pumping of hubs that live on one thread.
final class Network {
  let context: Context
  private let directory: String

  init() throws {
    context = try Context()
    var template = Array("/tmp/crosscut-test-XXXXXX".utf8CString)
    directory = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  deinit {
    for name in ["socket", "socket.lock"] { unlink("\(directory)/\(name)") }
    rmdir(directory)
  }

  var ipcPath: String { "\(directory)/socket" }

  func endpoint(_ scheme: Scheme) -> String {
    switch scheme {
    case .inproc: "inproc://server"
    case .ipc: "ipc://\(ipcPath)"
    case .tcp: "tcp://127.0.0.1:0"
    }
  }

  func server(_ scheme: Scheme, options: HubOptions = HubOptions()) throws -> Hub {
    try Hub(context: context, listen: endpoint(scheme), options: options)
  }

  func client(options: HubOptions = HubOptions()) throws -> Hub {
    try Hub(context: context, listen: nil, options: options)
  }

  /// A server, and a client whose connection is up.
  func pair(
    _ scheme: Scheme, options: HubOptions = HubOptions()
  ) throws -> (server: Hub, client: Hub, link: Hub.Link) {
    let server = try server(scheme, options: options)
    let client = try client(options: options)
    let link = try client.dial(#require(server.boundEndpoint))
    var events: [Hub.Event] = []
    try pump([server, client], events: { _, event in events.append(event) }) {
      events.contains(.connected(link))
    }
    return (server, client, link)
  }
}

/// Gone too long without `condition`.
struct TimeOut: Error {}

/// Lets the hubs work, all on this thread, until `condition` holds; `TimeOut` if it never does.
func pump(
  _ hubs: [Hub], events: (Int, Hub.Event) -> Void = { _, _ in },
  messages: (Int, Hub.Link, [Frame]) -> Void = { _, _, _ in }, until condition: () throws -> Bool
) throws {
  let clock = ContinuousClock()
  // It finds what hangs; a busy machine takes its time.
  let deadline = clock.now + .seconds(120)
  while try !condition() {
    guard clock.now < deadline else { throw TimeOut() }
    for (index, hub) in hubs.enumerated() {
      _ = try hub.wait(milliseconds: 1, wakeUp: nil)
      for event in hub.takeEvents() { events(index, event) }
      while let (link, parts) = try hub.receive() { messages(index, link, parts) }
    }
  }
}

/// A frame of `count` 32-bit integers that begin at `start`.
func integers(_ count: Int, from start: Int32 = 0) -> Frame {
  Frame(copying: (0..<Int32(count)).map { start &+ $0 })
}

func text(_ string: String) -> Frame { Frame(copying: Array(string.utf8)) }

func text(_ frame: Frame) -> String { String(decoding: frame.bytes, as: UTF8.self) }
