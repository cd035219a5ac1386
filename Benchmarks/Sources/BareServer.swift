import CZeroMQ
import Glibc
import Kernels
import Network
import Tensors
import Transport

/// A parameter server's exchange without a parameter server: ZeroMQ sockets that push and pull the
/// frames of a step in lock step. No server that waits for all gradients before it gives new
/// parameters can be faster on the same machine; with the arithmetic of a step, none that computes.
enum BareServer {
  /// MB/s, both directions together.
  ///
  /// - Parameters:
  ///   - chunks: what every worker pushes and pulls in a step.
  ///   - sgd: the step that a chunk takes when all have pushed it, on the thread that receives;
  ///     `nil`: nobody sums or steps anything.
  static func rate(
    _ chunks: ChunkTable, workers: Int, stepping sgd: SGD?, seconds: Int
  ) throws -> Double {
    let exchange = Exchange(sizes: chunks.chunks.map { $0.range.count * 4 }, sgd)
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
          exchange.take(part: socket)
        })
    }
    return try exchange.serve(server, workers: workers, seconds: seconds)
  }

  /// The frames of a step, and what is done with them.
  private struct Exchange: @unchecked Sendable {
    let sizes: [Int]
    let sgd: SGD?
    /// What workers push, the same for all and only ever read, what they pull, and two versions of
    /// weights and velocities.
    let pushed, pulled: AlignedBuffer
    let weights, velocities: [AlignedBuffer]
    let offsets: [Int]

    init(sizes: [Int], _ sgd: SGD?) {
      self.sizes = sizes
      self.sgd = sgd
      var total = 0
      offsets = sizes.map { size in
        defer { total += size }
        return total
      }
      func buffer() -> AlignedBuffer {
        let buffer = AlignedBuffer(floats: total / 4)
        buffer.floatPointer.update(repeating: 0, count: total / 4)
        return buffer
      }
      (pushed, pulled) = (buffer(), buffer())
      weights = [buffer(), buffer()]
      velocities = [buffer(), buffer()]
    }

    func send(_ chunk: Int, of buffer: AlignedBuffer, over socket: BareSocket) {
      socket.send(
        UnsafeMutableRawPointer(buffer.floatPointer) + offsets[chunk], count: sizes[chunk])
    }

    /// A worker: pushes all, pulls all, until an empty frame comes instead.
    func take(part socket: BareSocket) {
      while true {
        for chunk in sizes.indices { send(chunk, of: pushed, over: socket) }
        for _ in sizes where socket.receive(nil) <= 0 { return }
      }
    }

    /// The server.
    func serve(_ server: BareSocket, workers: Int, seconds: Int) throws -> Double {
      var arrived: [[UInt8]: Int] = [:]
      var gradients: [[BareSocket.Message]] = sizes.map { _ in [] }
      var steps = 0
      // The first steps pay for handshakes and first touches.
      var start = ContinuousClock.now
      while steps < 4 || ContinuousClock.now - start < .seconds(seconds) {
        for _ in 0..<workers * sizes.count {
          var identity: [UInt8] = []
          _ = server.receive { identity = Array($0) }
          let chunk = arrived[identity, default: 0] % sizes.count
          arrived[identity, default: 0] += 1
          guard let message = server.take(), message.count == sizes[chunk] else {
            throw BenchmarkError(description: "zmq_msg_recv")
          }
          gradients[chunk].append(message)
          guard let sgd, gradients[chunk].count == workers else { continue }
          step(chunk, gradients[chunk], sgd, steps)
          gradients[chunk] = []
          for identity in arrived.keys {
            server.send(identity)
            send(chunk, of: pulled, over: server)
          }
        }
        if sgd == nil {
          gradients = sizes.map { _ in [] }
          for chunk in sizes.indices {
            for identity in arrived.keys {
              server.send(identity)
              send(chunk, of: pulled, over: server)
            }
          }
        }
        steps += 1
        if steps == 3 { start = .now }
      }
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      // What the clients push meanwhile is not taken any more.
      for identity in arrived.keys {
        server.send(identity)
        server.send(nil, count: 0)
      }
      return Double(2 * sizes.reduce(0, +) * workers * (steps - 3)) / elapsed / 1_000_000
    }

    /// What a server of ours does with a chunk.
    private func step(_ chunk: Int, _ gradients: [BareSocket.Message], _ sgd: SGD, _ steps: Int) {
      let (old, new, first) = (steps % 2, (steps + 1) % 2, offsets[chunk] / 4)
      let memory = SummedStep.Memory(
        weight: UnsafePointer(weights[old].floatPointer + first),
        velocity: UnsafePointer(velocities[old].floatPointer + first),
        newWeight: weights[new].floatPointer + first,
        newVelocity: velocities[new].floatPointer + first, copy: pulled.floatPointer + first)
      withExtendedLifetime(gradients) {
        _ = SummedStep(sgd, gradients: gradients.map(\.floats))
          .run(0..<sizes[chunk] / 4, memory)
      }
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

  /// Waits for a frame, and keeps it; `nil` after an error.
  func take() -> Message? {
    let message = Message()
    return zmq_msg_recv(&message.content, socket, 0) >= 0 ? message : nil
  }

  /// A frame that came.
  final class Message {
    fileprivate var content = zmq_msg_t()

    init() { zmq_msg_init(&content) }

    deinit { zmq_msg_close(&content) }

    var count: Int { zmq_msg_size(&content) }

    var floats: UnsafePointer<Float> {
      UnsafePointer(zmq_msg_data(&content).assumingMemoryBound(to: Float.self))
    }
  }
}
