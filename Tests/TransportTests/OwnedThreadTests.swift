import Glibc
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct OwnedThreadTests {
  @Test func `the body runs under the thread's name and is done after join`() throws {
    let names = try Mailbox<String>()
    let thread = try OwnedThread(name: "conv of worker 3") {
      names.post(Self.nameOfThisThread())
    }
    thread.join()
    // The kernel keeps 15 bytes.
    #expect(names.drain() == ["conv of worker "])
  }

  @Test func `a thread nobody joins traps`() async {
    await #expect(processExitsWith: .failure) {
      _ = try OwnedThread(name: "orphan") {}
    }
  }

  @Test func `a second join traps`() async {
    await #expect(processExitsWith: .failure) {
      let thread = try OwnedThread(name: "twice") {}
      thread.join()
      thread.join()
    }
  }

  private static func nameOfThisThread() -> String {
    let descriptor = open("/proc/thread-self/comm", O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 0x0a }, as: UTF8.self)
  }
}
