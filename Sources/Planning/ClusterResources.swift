import Network

/// What the tasks of a step share: cores and links, as seen from one worker, one FC node and the
/// server with most to do, and how much of each a piece of work takes.
struct ClusterResources {
  /// Who computes.
  enum Role: Int { case worker, fc, server }

  /// A direction of a machine's link. Beside each other an FC node has its worker's.
  enum Link: Int { case out, into, outOfFC, intoFC, outOfServer, intoServer }

  /// Things that do one task after the other.
  enum Queue: Int { case loader, worker, fc, server, toServer, fromServer }

  /// Bytes over a direction of a link, in so many connections.
  struct Load {
    let link: Link
    let bytes: Double
    let flows: Int

    init(_ link: Link, _ bytes: Double, flows: Int) {
      (self.link, self.bytes, self.flows) = (link, bytes, max(flows, 1))
    }
  }

  let all: [TaskGraph.Resource]
  private let shape: ClusterShape
  private let secondsPerByte: Double
  /// By role, which of the resources has its cores.
  private let machines: [Int]
  private static let serverSocket = 3
  private static let firstLink = 4

  init(_ shape: ClusterShape, _ speeds: Speeds) {
    self.shape = shape
    secondsPerByte = speeds.secondsPerByte
    // Where the worker, the FC node and the server of host 0 share a machine, everybody waits for it.
    machines = shape.layout == .beside || shape.sharedCores != nil ? [0, 0, 0] : [0, 1, 2]
    let cores = TaskGraph.Resource(
      capacity: shape.sharedCores ?? shape.coresPerHost, perFlow: 1)
    let link = TaskGraph.Resource(capacity: shape.linkBytesPerSecond ?? .infinity)
    // A server's bytes all go through one thread of ZeroMQ.
    all =
      [cores, cores, cores, TaskGraph.Resource(capacity: 1)]
      + Array(repeating: link, count: Link.intoServer.rawValue + 1)
  }

  /// Cores for what one node of a role computes in so many seconds, and with it all of its role on a
  /// machine they share.
  func compute(_ role: Role, _ seconds: Double) -> [TaskGraph.Use] {
    let count =
      shape.sharedCores == nil
      ? 1 : [shape.workers, shape.fcNodes, shape.serverShards][role.rawValue]
    return [
      TaskGraph.Use(
        resource: machines[role.rawValue], amount: seconds * Double(count), flows: Double(count))
    ]
  }

  /// Links for what workers and FC nodes send each other, and the cores that it costs at both ends.
  ///
  /// - Parameter total: bytes that move in the whole cluster meanwhile, within machines too.
  func transfer(_ loads: [Load], total: Double) -> [TaskGraph.Use] {
    let met = loads.flatMap { load -> [Load] in
      guard shape.layout == .beside else { return [load] }
      // A worker's and its FC node's bytes meet on one link, on machine 0 the server's too.
      let isOut = load.link == .out || load.link == .outOfFC
      return (isOut ? [.out, .outOfServer] : [.into, .intoServer]).map {
        Load($0, load.bytes, flows: load.flows)
      }
    }
    return links(met) + [cores(total)]
  }

  /// The same for conv gradients and parameters.
  ///
  /// - Parameter served: of `total`, what the server with most to do sends or receives.
  func serve(_ loads: [Load], total: Double, served: Double) -> [TaskGraph.Use] {
    links(loads) + [
      cores(total),
      TaskGraph.Use(resource: Self.serverSocket, amount: served * secondsPerByte / 2),
    ]
  }

  private func cores(_ bytes: Double) -> TaskGraph.Use {
    let hosts = Double(shape.hosts)
    return shape.sharedCores == nil
      ? TaskGraph.Use(resource: machines[0], amount: bytes * secondsPerByte / hosts)
      : TaskGraph.Use(resource: machines[0], amount: bytes * secondsPerByte, flows: hosts)
  }

  private func links(_ loads: [Load]) -> [TaskGraph.Use] {
    guard shape.linkBytesPerSecond != nil else { return [] }
    return loads.map {
      TaskGraph.Use(
        resource: Self.firstLink + $0.link.rawValue, amount: $0.bytes, flows: Double($0.flows))
    }
  }
}
