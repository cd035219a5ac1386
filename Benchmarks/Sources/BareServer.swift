import CZeroMQ
import Glibc
import Network
import Transport

/// A parameter server's exchange without a parameter server: ZeroMQ sockets that push and pull the
/// frames of a step in lock step, nobody summing or stepping anything. No server that waits for all
/// gradients before it gives new parameters can be faster on the same machine.
enum BareServer {
  /// MB/s, both directions together.
  ///
  /// - Parameter chunks: what every worker pushes and pulls in a step.
  static func rate(_ chunks: ChunkTable, workers: Int, seconds: Int) throws -> Double {
    let exchange = Exchange(sizes: chunks.chunks.map { $0.range.count * 4 })
    defer { exchange.deallocate() }
    let server = try BareSocket(ZMQ_ROUTER)
    defer { server.close() }
    let endpoint = try server.bind()
    var clients: [OwnedThread] = []
    defer { for client in clients { client.join() } }
    for number in 0..<workers {
      clients.append(
        try OwnedThread(name: "bare \(number)") {
          // A context of its own, as a process has.
          guard let socket = try? BareSocket(ZMQ_DEALER) else { return }
          defer { socket.close() }
          socket.connect(endpoint)
          repeat {
            for chunk in exchange.sizes.indices { exchange.send(chunk, over: socket) }
          } while exchange.takeAll(from: socket)
        })
    }
    return try exchange.serve(server, workers: workers, seconds: seconds)
  }

  /// The frames of a step, and what is done with them.
  private struct Exchange: @unchecked Sendable {
    let sizes: [Int]
    /// The same for all; only ever read.
    let memory: UnsafeMutableRawPointer
    let offsets: [Int]

    init(sizes: [Int]) {
      self.sizes = sizes
      var total = 0
      offsets = sizes.map { size in
        defer { total += size }
        return total
      }
      memory = .allocate(byteCount: max(total, 1), alignment: 64)
      memset(memory, 0, total)
    }

    func deallocate() { memory.deallocate() }

    func send(_ chunk: Int, over socket: BareSocket) {
      socket.send(memory + offsets[chunk], count: sizes[chunk])
    }

    /// Waits for a frame of each chunk; false if an empty one came instead, the end.
    func takeAll(from socket: BareSocket) -> Bool {
      for _ in sizes { if socket.receive(nil) <= 0 { return false } }
      return true
    }

    func serve(_ server: BareSocket, workers: Int, seconds: Int) throws -> Double {
      var identities: Set<[UInt8]> = []
      var steps = 0
      // The first steps pay for handshakes and first touches.
      var start = ContinuousClock.now
      while steps < 4 || ContinuousClock.now - start < .seconds(seconds) {
        for _ in 0..<workers * sizes.count {
          var identity: [UInt8] = []
          _ = server.receive { identity = Array($0) }
          guard server.receive(nil) > 0 else { throw BenchmarkError(description: "zmq_msg_recv") }
          identities.insert(identity)
        }
        for chunk in sizes.indices {
          for identity in identities {
            server.send(identity)
            send(chunk, over: server)
          }
        }
        steps += 1
        if steps == 3 { start = .now }
      }
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      // What the clients push meanwhile is not taken any more.
      for identity in identities {
        server.send(identity)
        server.send(nil, count: 0)
      }
      return Double(2 * sizes.reduce(0, +) * workers * (steps - 3)) / elapsed / 1_000_000
    }
  }
}

/// A ZeroMQ socket in a context of its own, without anything of ours.
struct BareSocket: @unchecked Sendable {
  private let context: UnsafeMutableRawPointer
  private let socket: UnsafeMutableRawPointer

  init(_ kind: Int32) throws {
    guard let context = zmq_ctx_new(), let socket = zmq_socket(context, kind) else {
      throw BenchmarkError(description: "zmq_socket")
    }
    self.context = context
    self.socket = socket
    // No high-water mark: what a step has is under way at once.
    var none: Int32 = 0
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, MemoryLayout<Int32>.size)
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, MemoryLayout<Int32>.size)
    var linger: Int32 = 1000
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
  }

  func close() {
    zmq_close(socket)
    zmq_ctx_term(context)
  }

  /// Listens on a port that the system picks.
  func bind() throws -> [CChar] {
    guard zmq_bind(socket, "tcp://127.0.0.1:*") == 0 else {
      throw BenchmarkError(description: "zmq_bind")
    }
    var name = [CChar](repeating: 0, count: 256)
    var length = name.count
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, &name, &length)
    return name
  }

  func connect(_ endpoint: [CChar]) { zmq_connect(socket, endpoint) }

  /// Sends a frame without copying it, as the server's are not.
  func send(_ bytes: UnsafeMutableRawPointer?, count: Int) {
    var message = zmq_msg_t()
    zmq_msg_init_data(&message, bytes, count, { _, _ in }, nil)
    zmq_msg_send(&message, socket, 0)
  }

  /// Sends the name of the peer that the next frame is for.
  func send(_ name: [UInt8]) { zmq_send(socket, name, name.count, ZMQ_SNDMORE) }

  /// Waits for a frame, and shows it.
  ///
  /// - Returns: its length; negative after an error.
  func receive(_ look: ((UnsafeRawBufferPointer) -> Void)?) -> Int {
    var message = zmq_msg_t()
    zmq_msg_init(&message)
    defer { zmq_msg_close(&message) }
    let count = Int(zmq_msg_recv(&message, socket, 0))
    if let look, count >= 0 {
      look(UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: count))
    }
    return count
  }
}
