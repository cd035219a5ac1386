import Foundation
import Testing

/// Faults by chance on real processes: what scripts/chaos does for as long as one likes.
@Suite(.timeLimit(.minutes(30)))
struct ChaosTests {
  /// The same victims each time (Knuth's linear congruential generator).
  private struct Dice {
    var state: UInt64

    mutating func roll(_ sides: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % sides
    }
  }

  private static let names = ["server", "worker-0", "worker-1", "fc-0", "fc-1"]

  /// Every step is done by two workers, so that all sums run in one order.
  @Test func `killed and stopped by chance, a run ends with the bits of the undisturbed one`()
    throws
  {
    let cluster = try TinyCluster()
    let (program, server) = try cluster.inTime { try Self.disturb(cluster) }
    #expect(program.finish() == 0, "\(program.output)")
    try cluster.expectUndisturbed(within: 0)
    cluster.expectNoOrphans(server)
  }

  /// Begins a run and does six faults to it.
  private static func disturb(
    _ cluster: TinyCluster
  ) throws -> (program: Program, server: String) {
    let program = try cluster.train(
      TinyCluster.gentle + TinyCluster.noticesSilence + ["--min-workers", "2"])
    let server = try cluster.address()
    // A seed with every kind of node among its victims.
    var dice = Dice(state: 8)
    var kills = 0
    var stops: [String] = []
    var furthest: UInt64 = 50
    for _ in 0..<6 {
      // Further than it has ever been: what the last fault has done is mended.
      #expect(
        eventually { cluster.committedSteps >= furthest + 60 || !program.isRunning },
        "\(program.output)\(cluster.text("run/server.log"))")
      let name = names[dice.roll(names.count)]
      var victim: Int32?
      #expect(
        eventually {
          victim = cluster.process(name)
          return victim != nil || !program.isRunning
        })
      guard let process = victim, program.isRunning else { throw TinyCluster.TooLate() }
      furthest = cluster.committedSteps
      // A server that is stopped stops everybody, and nobody is left to notice.
      if name == "server" || dice.roll(3) > 0 {
        #expect(kill(process, SIGKILL) == 0)
        kills += 1
        #expect(
          eventually {
            count("was killed by signal 9", in: program.output) == kills || !program.isRunning
          }, "\(program.output)")
      } else {
        let line = "\(name.replacing("-", with: " ")) is gone: silent for"
        let before = count(line, in: cluster.text("run/server.log"))
        #expect(kill(process, SIGSTOP) == 0)
        let noticed = eventually {
          count(line, in: cluster.text("run/server.log")) > before || !program.isRunning
        }
        #expect(kill(process, SIGCONT) == 0)
        #expect(noticed, "\(name): \(cluster.text("run/server.log"))")
        stops.append(name)
      }
      guard program.isRunning else { throw TinyCluster.TooLate() }
      // It may have gone on until its victim was missed.
      furthest = max(furthest, cluster.committedSteps)
    }
    #expect(kills > 0 && !stops.isEmpty, "\(kills) kills, stopped \(stops)")
    return (program, server)
  }

  private static func count(_ words: String, in text: String) -> Int {
    text.components(separatedBy: words).count - 1
  }
}
