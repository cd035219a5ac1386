import Foundation
import Tensors
import Testing
import Transport

@testable import Nodes

/// What a token can do to the server's list, and what others can do to its log and its memory.
@Suite struct KeyDeskTests {
  private let folder = NSTemporaryDirectory() + "crosscut-desk-\(UUID().uuidString)"

  /// A desk, and a token that it lets in.
  private func made() throws -> (desk: KeyDesk, token: PublicKey, list: String) {
    let keys = KeyDirectory(folder)
    try keys.create()
    let file = try ServerKeyFile(path: keys.serverKey)
    let token = try JoinToken.issue(file, address: "tcp://h:1", seconds: 600, once: false)
    return (
      KeyDesk(security: try ServerSecurity(keyFile: keys.serverKey)), token.keys.publicKey,
      keys.allowedKeys
    )
  }

  private func clean() { try? FileManager.default.removeItem(atPath: folder) }

  private func request(_ key: PublicKey) -> [Frame] {
    [Frame(copying: KeyDesk.greeting), Frame(copying: Array("\(key)".utf8))]
  }

  private func link(_ number: Int) -> Hub.Link { .accepted(Array("link \(number)".utf8)) }

  private func inode(_ path: String) -> UInt {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_ino : 0
  }

  @Test func `keys are put on the list together, one a connection, after a pause`() throws {
    defer { clean() }
    var (desk, token, path) = try made()
    var keys: [PublicKey] = []
    for number in 0..<20 {
      keys.append(try KeyPair.generate().publicKey)
      let outcome = desk.handle(request(keys[number]), from: .token(token), over: link(number)) {
        false
      }
      guard case .waits = outcome else {
        Issue.record("\(outcome)")
        return
      }
    }
    let again = desk.handle(request(token), from: .token(token), over: link(3)) { false }
    guard case .forbidden = again else {
      Issue.record("\(again)")
      return
    }
    let answers = desk.settle(1_000_000)
    #expect(answers.map(\.link) == (0..<20).map { link($0) })
    #expect(answers.allSatisfy { $0.isEnrolled })
    for key in keys { #expect(desk.security.allowed.standing(of: key) != nil) }
    // The next one waits, whatever the disk does.
    let written = inode(path)
    _ = desk.handle(request(try KeyPair.generate().publicKey), from: .token(token), over: link(30))
    { false }
    #expect(desk.settle(MonotonicClock.now()).isEmpty)
    #expect(inode(path) == written)
    #expect(desk.settle(MonotonicClock.now() + 10_000_000).count == 1)
    #expect(inode(path) != written)
    // A connection that is closed may come again with another.
    desk.forget(link(3))
    _ = desk.handle(request(token), from: .token(token), over: link(3)) { false }
    let taken = desk.settle(MonotonicClock.now() + 20_000_000)
    #expect(taken.first?.text.contains("that key is a token's") == true, "\(taken)")
  }

  @Test func `a token puts so many keys on the list and no more`() throws {
    defer { clean() }
    var (desk, token, path) = try made()
    let list = desk.security.allowed
    var wanted: [AllowedKeys.Enrolment] = []
    for number in 0...AllowedKeys.mostByToken {
      let bytes =
        withUnsafeBytes(of: UInt64(number)) { Array($0) } + [UInt8](repeating: 7, count: 24)
      let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      wanted.append(.init(key: try #require(PublicKey(hex: hex)), token: token))
    }
    let answers = list.enrol(wanted)
    #expect(answers.prefix(AllowedKeys.mostByToken).allSatisfy { $0 == nil })
    #expect(
      answers.last??.message.contains("the most it may") == true,
      "\(String(describing: answers.last))")
    #expect(list.standing(of: wanted[0].key) == .node(wanted[0].key, name: wanted[0].name))
    // What is refused touches no file.
    let written = inode(path)
    let more = try KeyPair.generate().publicKey
    let outcome = desk.handle(request(more), from: .token(token), over: link(1)) { false }
    guard case .refused(_, let line) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(line.contains("the most it may"))
    #expect(desk.settle(1_000_000).isEmpty)
    #expect(list.enrol([.init(key: more, token: token)])[0] != nil)
    #expect(inode(path) == written)
    // Who is on it already may ask again.
    #expect(list.enrol([wanted[5]]) == [nil])
    #expect(inode(path) == written)
  }

  @Test func `no list is written that could not be read`() throws {
    defer { clean() }
    let (desk, _, path) = try made()
    let before = inode(path)
    let name = String(repeating: "n", count: SecretFile.mostBytes)
    let error = #expect(throws: NodeError.self) {
      try desk.security.allowed.add(.node(try KeyPair.generate().publicKey, name: name))
    }
    #expect(error?.message.contains("is full") == true, "\(error?.message ?? "")")
    #expect(inode(path) == before)
  }

  @Test func `what is brought about ten thousand times is told a few times, and counted`() {
    var limit = LineLimit()
    let lines = (0..<10_000).compactMap { limit.line("refused", now: 5 + UInt64($0)) }
    #expect(lines == [String](repeating: "refused", count: LineLimit.mostLines))
    #expect(
      limit.line("refused", now: 60_000_005) == "refused; 9990 more since the last such line")
  }

  @Test func `who asks to join again and again over one connection leaves one entry`() {
    var visitors = VisitorBook()
    for incarnation in 1...10_000 as ClosedRange<UInt64> { visitors.note(incarnation, at: link(1)) }
    #expect(visitors.count == 1)
    #expect(visitors[10_000] == link(1))
    // The same process by another connection: that one counts.
    visitors.note(10_000, at: link(2))
    visitors.forget(link(1))
    #expect(visitors[10_000] == link(2))
    visitors.forget(link(2))
    #expect(visitors.count == 0)
  }

  @Test func `probes are sent back within a bound, a connection's and all`() {
    var book = EchoBook()
    let large = [Frame(copying: [UInt8](repeating: 1, count: 1 << 20))]
    let small = [Frame(copying: [1])]
    func taken(_ number: Int) -> Int {
      (0..<100).count { _ in book.takes(large, from: link(number), queued: 0) }
    }
    #expect(taken(1) == 32)
    #expect((2...9).map { taken($0) } == [32, 32, 32, 0, 0, 0, 0, 0])
    let isTaken = book.takes(small, from: link(1), queued: 0)
    let isTakenBehind = book.takes(small, from: link(1), queued: 1)
    #expect(isTaken && !isTakenBehind)
    book.forget(link(1))
    #expect(taken(5) == 32)
    let hasManyParts = book.takes(small + small + small, from: link(7), queued: 0)
    #expect(!hasManyParts)
  }

  @Test func `an answer is made once for all who ask at about the same time`() {
    var reply = SharedReply()
    var made = 0
    for time in 0..<1_000 as Range<UInt64> {
      let frames = reply.frames(time * 100) {
        made += 1
        return [Frame(copying: [UInt8(truncatingIfNeeded: made)])]
      }
      #expect(frames.count == 1)
    }
    #expect(made == 5)
  }
}
