import Tensors
import Transport

/// What CURVE costs: messages of one size from one hub to another over loopback, plain and
/// encrypted in turns.
///
/// `benchmarks encryption [--kilobytes 1024] [--messages 300] [--rounds 5]`
enum EncryptionBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments, defaults: ["kilobytes": "1024", "messages": "300", "rounds": "5"])
    let bytes = try options.count("kilobytes") * 1024
    let messages = try options.count("messages")
    var plain: [Double] = []
    var encrypted: [Double] = []
    for _ in 0..<(try options.count("rounds")) {
      plain.append(try rate(bytes, messages, security: HubSecurity()))
      encrypted.append(try rate(bytes, messages, security: .shared(.generate())))
    }
    let without = plain.sorted()[plain.count / 2]
    let with = encrypted.sorted()[encrypted.count / 2]
    print("\(messages) messages of \(bytes / 1024) KiB over tcp loopback, median of \(plain.count)")
    print("plain      \(Int(without)) MB/s")
    print("encrypted  \(Int(with)) MB/s, \(Int(100 * with / without)) % of plain")
  }

  /// MB/s from one thread to another, with four messages under way at a time as the cores have it.
  private static func rate(_ bytes: Int, _ messages: Int, security: HubSecurity) throws -> Double {
    let context = try Context()
    defer { context.terminate() }
    let ready = try Mailbox<String>()
    let done = try Mailbox<Bool>()
    let receiver = try OwnedThread(name: "receiver") {
      guard let hub = try? Hub(context: context, listen: "tcp://127.0.0.1:0", security: security)
      else { return ready.close() }
      ready.post(hub.boundEndpoint ?? "")
      let credit = Frame(copying: [UInt8(1)])
      // Until the sender has all of its credit: a connection that ends takes what is under way along.
      while done.count == 0 {
        guard (try? hub.wait(milliseconds: 1000, wakeUp: done.wakeUp)) != nil else { break }
        _ = hub.takeEvents()
        while let (link, _) = (try? hub.receive()) ?? nil { _ = hub.send([credit], to: link) }
      }
      hub.close(lingerMilliseconds: 1000)
    }
    defer {
      done.post(true)
      receiver.join()
    }
    guard let endpoint = ready.take() else {
      throw BenchmarkError(description: "the receiver cannot listen")
    }
    let hub = try Hub(context: context, listen: nil, security: security)
    defer { hub.close(lingerMilliseconds: 1000) }
    let link = try hub.dial(endpoint)
    let frame = Frame(copying: [UInt8](repeating: 0x5a, count: bytes))
    var sent = 0
    var acknowledged = 0
    var start = ContinuousClock.now
    while acknowledged < messages {
      if acknowledged == 1 && sent == 1 { start = ContinuousClock.now }
      // The first message pays for the handshake.
      let window = acknowledged == 0 ? 1 : 4
      while sent < messages, sent - acknowledged < window, hub.send([frame], to: link) { sent += 1 }
      _ = try hub.wait(milliseconds: 100, wakeUp: nil)
      _ = hub.takeEvents()
      while try hub.receive() != nil { acknowledged += 1 }
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return Double(bytes) * Double(messages - 1) / seconds / 1_000_000
  }
}
