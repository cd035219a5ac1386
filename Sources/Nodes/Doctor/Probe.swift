import Tensors
import Transport

/// Messages that come back as they were sent: how far away a node is, and how much passes.
struct Probe {
  /// What each begins with; whoever is let in may send one.
  static let greeting = Array("crosscut probe 1".utf8)
  private static let bulkBytes = 1 << 20
  private static let roundTrips = 20
  private static let bulkMessages = 16

  /// Median time there and back, seconds.
  let roundTrip: Double
  /// Megabytes a second, both ways counted.
  let rate: Double

  /// Whether a message is to be sent back as it is.
  static func isOne(_ parts: [Frame]) -> Bool {
    parts.first?.bytes.elementsEqual(greeting) == true
  }

  /// Measures the way to whoever is at the other end of `link`.
  ///
  /// - Returns: `nil` if it does not answer within `seconds`.
  init?(_ hub: Hub, _ link: Hub.Link, seconds: UInt64) throws {
    let deadline = MonotonicClock.now() + seconds * 1_000_000
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
    let small = [Frame(copying: Self.greeting)]
    let large = small + [Frame(copying: [UInt8](repeating: 0x5a, count: Self.bulkBytes))]
    // The first one pays for the connection.
    guard try echo(small) != nil else { return nil }
    var times: [Double] = []
    for _ in 0..<Self.roundTrips { if let time = try echo(small) { times.append(time) } }
    var bulk: [Double] = []
    for _ in 0..<Self.bulkMessages { if let time = try echo(large) { bulk.append(time) } }
    guard !times.isEmpty, !bulk.isEmpty else { return nil }
    roundTrip = times.sorted()[times.count / 2]
    rate = 2 * Double(Self.bulkBytes * bulk.count) / bulk.reduce(0, +) / 1_000_000
  }

  /// "0.21 ms".
  var roundTripText: String { "\((roundTrip * 100_000).rounded() / 100) ms" }
  /// "812 MB/s".
  var rateText: String { "\(Int(rate)) MB/s" }
  /// Whether each is enough for training.
  var isNear: Bool { roundTrip < 0.02 }
  /// 1 gbit each way gives about 200.
  var isWide: Bool { rate > 20 }
}
