import Observability
import Tensors
package import Transport

/// Looks at the way to a server.
package enum ServerCheck {
  /// What a probe is asked for by, and comes back with; whoever is let in may send one.
  static let greeting = Array("crosscut probe 1".utf8)
  private static let bulkBytes = 1 << 20
  private static let roundTrips = 20
  private static let bulkMessages = 16

  /// Whether the server answers, how fast, and how much passes; within about five seconds.
  package static func findings(
    context: Context, endpoint: String, credentials: Credentials?
  ) -> [Finding] {
    do {
      let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
      defer { client.close() }
      let record = try client.status()
      var findings = [
        Finding(
          "server", .good,
          "\(endpoint) answers: run \(record.run), \(record.state.rawValue)")
      ]
      if credentials == nil {
        findings.append(
          Finding(
            "encryption", .warning, "none",
            advice: "on a network you do not trust start the server with --secure"))
      } else {
        findings.append(Finding("encryption", .good, "CURVE; the key is accepted"))
      }
      return findings + (try speed(context, endpoint, credentials))
    } catch {
      return [
        Finding(
          "server", .bad, "\(error)",
          advice: "start it, or mend what the line says; a firewall must let its port through")
      ]
    }
  }

  private static func speed(
    _ context: Context, _ endpoint: String, _ credentials: Credentials?
  ) throws -> [Finding] {
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let link = try hub.dial(endpoint, with: credentials?.dialing)
    let deadline = MonotonicClock.now() + 4_000_000
    func echo(_ frames: [Frame]) throws -> Double? {
      let start = MonotonicClock.now()
      guard hub.send(frames, to: link) else { return nil }
      while MonotonicClock.now() < deadline {
        _ = try hub.wait(milliseconds: 100, wakeUp: nil)
        _ = hub.takeEvents()
        if try hub.receive() != nil { return Double(MonotonicClock.now() - start) / 1_000_000 }
      }
      return nil
    }
    let small = [Frame(copying: greeting)]
    let large = small + [Frame(copying: [UInt8](repeating: 0x5a, count: bulkBytes))]
    var times: [Double] = []
    // The first one pays for the connection.
    guard try echo(small) != nil else { return [noProbe] }
    for _ in 0..<roundTrips { if let time = try echo(small) { times.append(time) } }
    var bulk: [Double] = []
    for _ in 0..<bulkMessages { if let time = try echo(large) { bulk.append(time) } }
    guard !times.isEmpty, !bulk.isEmpty else { return [noProbe] }
    let median = times.sorted()[times.count / 2]
    // There and back.
    let rate = 2 * Double(bulkBytes * bulk.count) / bulk.reduce(0, +) / 1_000_000
    return [
      judged(
        "round trip", "\((median * 100_000).rounded() / 100) ms", isGood: median < 0.02,
        advice: "each step waits for several: put the nodes nearer to one another"),
      judged(
        "bandwidth", "\(Int(rate)) MB/s, there and back", isGood: rate > 20,
        advice: "gradients and parameters cross this way at each step: a network of 1 gbit gives"
          + " 100 MB/s"),
    ]
  }

  private static let noProbe = Finding(
    "round trip", .warning, "not measured: the server is busy, or of another version",
    advice: "try again")

  private static func judged(
    _ name: String, _ text: String, isGood: Bool, advice: String
  ) -> Finding {
    Finding(name, isGood ? .good : .warning, text, advice: isGood ? "" : advice)
  }
}
