package import Observability
package import Transport

/// Looks at the way to a server, and from here to its FC nodes.
package enum ServerCheck {
  /// FC nodes that are looked at.
  private static let mostNodes = 4

  /// Whether the server answers, how far its clock is off, how far away it and its FC nodes are;
  /// within about fifteen seconds.
  ///
  /// - Returns: what was found, and the server's status if there is one.
  package static func findings(
    context: Context, endpoint: String, credentials: Credentials?
  ) -> ([Finding], StatusRecord?) {
    do {
      let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
      defer { client.close() }
      let asked = MonotonicClock.wall()
      let record = try client.status(
        timeoutMilliseconds: StatusClient.workPatienceMilliseconds)
      let answered = MonotonicClock.wall()
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
      if let theirs = record.unixSeconds {
        findings.append(clock(ahead: ahead(of: theirs, asked: asked, answered: answered)))
      }
      findings += try way(context, endpoint, credentials)
      findings += try nodes(record, context, endpoint, credentials)
      return (findings, record)
    } catch {
      let finding = Finding(
        "server", .bad, "\(error)",
        advice: "start it, or mend what the line says; a firewall must let its port through")
      return ([finding], nil)
    }
  }

  /// By how much this machine's clock is ahead of one that was read between a question and its answer,
  /// at least: who took long to answer is not to seem to have another time.
  static func ahead(of theirs: Double, asked: Double, answered: Double) -> Double {
    min(max(theirs, asked), answered) - theirs
  }

  /// - Parameter seconds: this machine's clock less the server's.
  static func clock(ahead seconds: Double) -> Finding {
    let size = seconds.magnitude
    guard size > 2 else {
      return Finding("server's clock", .good, "the same as here, to within 2 s")
    }
    return Finding(
      "server's clock", .warning,
      "this machine's is \(Int(size.rounded())) s \(seconds > 0 ? "ahead" : "behind")",
      advice:
        "training does not need it, but a token may be over before its time, and logs are hard"
        + " to compare: chrony on both")
  }

  private static func way(
    _ context: Context, _ endpoint: String, _ credentials: Credentials?
  ) throws -> [Finding] {
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    guard let probe = try Probe(hub, try hub.dial(endpoint, with: credentials?.dialing), seconds: 4)
    else {
      return [
        Finding(
          "round trip", .warning, "not measured: the server is busy, or of another version",
          advice: "try again")
      ]
    }
    return [
      judged(
        "round trip", probe.roundTripText, isGood: probe.isNear,
        advice: "each step waits for several: put the nodes nearer to one another"),
      judged(
        "bandwidth", "\(probe.rateText), there and back", isGood: probe.isWide,
        advice: "gradients and parameters cross this way at each step: a network of 1 gbit gives"
          + " 200 MB/s both ways together"),
    ]
  }

  // MARK: FC nodes

  /// Workers and the other FC nodes dial each FC node: so does this, from here.
  private static func nodes(
    _ record: StatusRecord, _ context: Context, _ endpoint: String, _ credentials: Credentials?
  ) throws -> [Finding] {
    let there = record.nodes.filter { $0.state == .active || $0.state == .joined }
    let listening = there.compactMap { node in node.endpoint.map { (node.name, $0) } }
    guard !listening.isEmpty else { return [] }
    var security = HubSecurity()
    if let credentials {
      guard case .keyFile = credentials else {
        return [
          Finding(
            "fc nodes", .good, "not looked at: a token would be used up; --key-file can")
        ]
      }
      let quiet = Logger(descriptor: 2, name: "doctor", level: .error)
      guard
        let member = try KeyRequest.run(
          context: context, endpoint: endpoint, credentials: credentials, timeoutSeconds: 3,
          signals: nil, log: quiet)
      else { return [] }
      security = HubSecurity(dialing: .init(keys: member.cluster, peer: member.cluster.publicKey))
    }
    return try listening.prefix(mostNodes).map { name, address in
      let hub = try Hub(context: context, listen: nil, security: security)
      defer { hub.close(lingerMilliseconds: 0) }
      guard let probe = try Probe(hub, try hub.dial(address), seconds: 2) else {
        return Finding(
          "\(name)", .bad, "no answer at \(address)",
          advice:
            "every worker and FC node dials it: its port must be reachable from here; crosscut fc"
            + " --listen tcp://*:PORT fixes it, for the firewall")
      }
      return judged(
        "\(name)", "\(address): \(probe.roundTripText), \(probe.rateText)",
        isGood: probe.isNear && probe.isWide,
        advice: "activations cross this way at each step: put the nodes nearer to one another")
    }
  }

  private static func judged(
    _ name: String, _ text: String, isGood: Bool, advice: String
  ) -> Finding {
    Finding(name, isGood ? .good : .warning, text, advice: isGood ? "" : advice)
  }
}
