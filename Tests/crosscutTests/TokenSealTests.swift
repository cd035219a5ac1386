import Nodes
import Testing

@testable import crosscut

@Suite struct TokenSealTests {
  private static let token =
    "crosscut-join-1.\(String(repeating: "ab", count: 32)).\(String(repeating: "cd", count: 32))"
    + ".tcp://127.0.0.1:7030"

  @Test(arguments: ["tcp://*:7030", "tcp://0.0.0.0:7030", "tcp://[::]:7030"])
  func `no token leads to an address where a server only listens`(address: String) {
    let error = CommandLineInterfaceTests.error("token --key-file nowhere.key --server \(address)")
    #expect(error.contains("\"\(address)\" is where a server listens, nobody can go there"))
  }

  @Test func `a token is taken as it was printed, and not without any of its characters`() throws {
    let whole = TokenSeal.seal(Self.token)
    #expect(try TokenSeal.open(" \(whole)\n").address == "tcp://127.0.0.1:7030")
    for length in 0..<whole.count {
      #expect(throws: NodeError.self, "\(length)") {
        try TokenSeal.open(String(whole.prefix(length)))
      }
    }
    #expect(throws: NodeError.self) { try TokenSeal.open(whole.replacing("7030", with: "7031")) }
    let error = #expect(throws: NodeError.self) { try TokenSeal.open(String(whole.dropLast())) }
    #expect(error.map { "\($0)" }?.contains("not all of a token") == true)
    #expect(error.map { "\($0)" }?.contains("cdcd") == false)
  }
}
