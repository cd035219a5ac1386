import Foundation
import Testing
import Training

/// A server that goes back to a checkpoint while it lives, and finds that it cannot have it.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct GoingBackTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }
  private var log: String { cluster.text("run/server.log") }

  init() throws { cluster = try TinyCluster() }

  @Test func `where the newest checkpoint is damaged the run goes on from the one before`() throws {
    let store = CheckpointStore(directory: "\(run)/checkpoints", keep: 9)
    // What an evaluation has shown makes none beside the regular ones.
    let struck = try cluster.strike(at: 320, ["--set", "checkpoint.keepBest=false"]) { running in
      let found = store.list()
      // The run is to know of it, and none to be under way that comes instead.
      guard found.count >= 2, log.contains("checkpoint after \(found[0].steps) steps\n"),
        try FileManager.default.contentsOfDirectory(atPath: store.directory).allSatisfy({
          !$0.hasSuffix(".new")
        })
      else { throw TinyCluster.TooLate() }
      try damage(found[0].path)
      kill(try running.process(of: "fc 1"), SIGKILL)
    }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(log.contains("damaged: its CRC-32 is"), "\(log)")
    let backs = log.matches(of: /back to the checkpoint after (\d+) steps, (\d+) steps to repeat/)
    #expect(backs.count == 2, "\(log)")
    let steps = backs.compactMap { UInt64($0.1) }
    #expect(steps.count == 2 && steps[1] < steps[0] && steps[1] > 0, "\(steps)")
    #expect(
      log.contains("the checkpoint after \(steps[0]) steps is passed over: "), "\(log)")
    try cluster.expectUndisturbed(within: 0)
    let replay = try Program.run("replay", run)
    #expect(replay.code == 0, "\(replay.output)")
    cluster.expectNoOrphans(struck.server)
  }

  private func damage(_ checkpoint: String) throws {
    let path = "\(checkpoint)/model.safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count - 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
  }
}
