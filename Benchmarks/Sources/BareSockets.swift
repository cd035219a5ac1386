import CZeroMQ
import Glibc
import Network
import Transport

/// Two ZeroMQ sockets without anything of ours: frames go from one to the other over loopback and
/// come back, several under way at a time.
enum BareSockets {
  /// MB/s, both directions together.
  ///
  /// - Parameter chunks: what is sent, over and over.
  static func rate(_ chunks: ChunkTable, seconds: Int) throws -> Double {
    guard let echoContext = zmq_ctx_new(), let echo = zmq_socket(echoContext, ZMQ_DEALER),
      let context = zmq_ctx_new(), let socket = zmq_socket(context, ZMQ_DEALER)
    else { throw BenchmarkError(description: "zmq_socket") }
    defer {
      zmq_close(socket)
      zmq_ctx_term(context)
    }
    guard zmq_bind(echo, "tcp://127.0.0.1:*") == 0 else {
      throw BenchmarkError(description: "zmq_bind")
    }
    var name = [CChar](repeating: 0, count: 256)
    var length = name.count
    zmq_getsockopt(echo, ZMQ_LAST_ENDPOINT, &name, &length)
    guard zmq_connect(socket, name) == 0 else {
      throw BenchmarkError(description: "zmq_connect")
    }
    nonisolated(unsafe) let other = echo  // from here on the thread's alone
    nonisolated(unsafe) let otherContext = echoContext
    let thread = try OwnedThread(name: "echo") {
      var message = zmq_msg_t()
      // Whole frames come back as they came; an empty one is the end.
      while zmq_msg_init(&message) == 0, zmq_msg_recv(&message, other, 0) > 0,
        zmq_msg_send(&message, other, 0) >= 0
      {}
      zmq_msg_close(&message)
      zmq_close(other)
      zmq_ctx_term(otherContext)
    }
    defer { thread.join() }
    let sizes = chunks.chunks.map { $0.range.count * 4 }
    let largest = sizes.max() ?? 1
    let memory = UnsafeMutableRawPointer.allocate(byteCount: largest, alignment: 64)
    memset(memory, 0, largest)
    defer { memory.deallocate() }
    var sent = 0
    var bytes = 0
    func send() {
      var message = zmq_msg_t()
      // Not copied, as the server's frames are not.
      zmq_msg_init_data(&message, memory, sizes[sent % sizes.count], { _, _ in }, nil)
      zmq_msg_send(&message, socket, 0)
      sent += 1
    }
    for _ in 0..<2 * sizes.count { send() }
    let start = ContinuousClock.now
    let end = start + .seconds(seconds)
    var underWay = 2 * sizes.count
    while underWay > 0 {
      var message = zmq_msg_t()
      zmq_msg_init(&message)
      let count = zmq_msg_recv(&message, socket, 0)
      zmq_msg_close(&message)
      guard count > 0 else { throw BenchmarkError(description: "zmq_msg_recv") }
      bytes += 2 * Int(count)
      if ContinuousClock.now < end { send() } else { underWay -= 1 }
    }
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    zmq_send(socket, nil, 0, 0)
    return Double(bytes) / elapsed / 1_000_000
  }
}
