import Glibc
import Tensors
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct HubWaitTests {
  @Test func `a mailbox wakes a waiting hub`() throws {
    let hub = try Network().server(.tcp)
    let mailbox = try Mailbox<Int>()
    for round in 0..<100 {
      let thread = try OwnedThread(name: "poster") { mailbox.post(round) }
      var heard: [Int] = []
      // Returns before its time, or the suite runs out of its own.
      while heard.isEmpty {
        _ = try hub.wait(milliseconds: 60_000, wakeUp: mailbox.wakeUp)
        heard = mailbox.drain()
      }
      #expect(heard == [round])
      thread.join()
    }
  }

  @Test func `a wait ends when its time is over`() throws {
    let hub = try Network().server(.tcp)
    let mailbox = try Mailbox<Int>()
    for milliseconds in [0, 20, -1] {
      let start = ContinuousClock.now
      #expect(try hub.wait(milliseconds: milliseconds, wakeUp: mailbox.wakeUp) == [])
      #expect(ContinuousClock.now - start >= .milliseconds(milliseconds - 2))
    }
  }

  @Test func `readable descriptors are told apart`() throws {
    let hub = try Network().client()
    let (quiet, first, second) = (try WakeUp(), try WakeUp(), try WakeUp())
    let extras = [quiet.descriptor, first.descriptor, second.descriptor]
    first.signal()
    #expect(
      try hub.wait(milliseconds: 60_000, wakeUp: nil, extraDescriptors: extras)
        == [first.descriptor])
    second.signal()
    #expect(
      try hub.wait(milliseconds: 60_000, wakeUp: quiet, extraDescriptors: Array(extras[1...]))
        == [first.descriptor, second.descriptor])
  }

  @Test func `a message ends the wait`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    #expect(client.send([text("now")], to: link))
    var heard = false
    while !heard {
      _ = try server.wait(milliseconds: 60_000, wakeUp: nil)
      heard = try server.receive() != nil
    }
  }

  @Test func `a closed hub leaves no thread and no descriptor behind`() async {
    await #expect(processExitsWith: .success) {
      func count(_ directory: String) throws -> Int {
        let listing = try #require(opendir(directory))
        defer { closedir(listing) }
        var names = 0
        while readdir(listing) != nil { names += 1 }
        return names
      }
      func run(_ scheme: Scheme) throws {
        let network = try Network()
        let (server, client, link) = try network.pair(scheme)
        let mailbox = try Mailbox<Int>()
        let thread = try OwnedThread(name: "reader") { _ = mailbox.take() }
        mailbox.post(1)
        thread.join()
        #expect(client.send([integers(1 << 18), text("x")], to: link))
        var received: [Frame] = []
        try pump([server, client], messages: { _, _, parts in received = parts }) {
          !received.isEmpty
        }
        #expect(client.send([integers(1 << 18)], to: link))
        client.close(lingerMilliseconds: 100)
        server.close(lingerMilliseconds: 100)
        network.context.terminate()
        #expect(received[0].int32s[77] == 77)
      }
      try run(.tcp)
      let (descriptors, threads) = (try count("/proc/self/fd"), try count("/proc/self/task"))
      for scheme in Scheme.allCases { try run(scheme) }
      // A thread that has been joined may be listed for a moment: its last step is the kernel's.
      let deadline = ContinuousClock.now + .seconds(60)
      while try count("/proc/self/fd") > descriptors || count("/proc/self/task") > threads {
        guard ContinuousClock.now < deadline else { exit(1) }
        poll(nil, 0, 10)
      }
      exit(0)
    }
  }
}
