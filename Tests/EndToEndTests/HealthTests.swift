import Foundation
import Observability
import Testing

@testable import crosscut

@Suite(.timeLimit(.minutes(30)))
struct HealthTests {
  @Test func `health is one line with the state, of the server that the environment names`() throws
  {
    let scratch = try Scratch()
    let server = try Program([
      "server", "lenet5", "--listen", "tcp://127.0.0.1:0", "--run-dir", scratch.path,
    ])
    #expect(eventually { !scratch.address.isEmpty })
    let health = try Program.run(["health"], environment: ["CROSSCUT_SERVER": scratch.address]) {
      code, _ in code == 0
    }
    #expect(health.code == 0, "\(health.output)")
    #expect(health.output.hasPrefix("gathering"), "\(health.output)")
    #expect(health.output.split(separator: "\n").count == 1, "\(health.output)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test(arguments: StatusRecord.State.allCases)
  func `only a failed run is unhealthy`(state: StatusRecord.State) {
    var record = StatusRecord(run: 1, name: "tiny")
    record.state = state
    #expect(HealthCommand.exitCode(record) == (state == .failed ? 1 : 0))
    #expect(HealthCommand.line(record) == state.rawValue)
  }

  @Test func `the line has the step and what people should know`() {
    var record = StatusRecord(run: 1, name: "tiny")
    record.state = .failed
    record.message = "fc 1 is gone"
    #expect(HealthCommand.line(record) == "failed: fc 1 is gone")
    record.step = 3
    record.totalSteps = 8
    #expect(HealthCommand.line(record) == "failed: step 3 of 8, fc 1 is gone")
  }

  @Test(arguments: ["health", "status"])
  func `a name that cannot be looked up costs no more than two seconds`(command: String) throws {
    let seconds = try shortest(within: 2) {
      let program = try Program([command, "--server", "tcp://server.invalid:5555"])
      #expect(program.finish() == 1)
      #expect(
        program.output.hasPrefix("crosscut: no server answers at tcp://server.invalid:5555"),
        "\(program.output)")
      #expect(program.output.split(separator: "\n").count == 1, "\(program.output)")
    }
    #expect(seconds < 2)
  }
}
