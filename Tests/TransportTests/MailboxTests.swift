import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct MailboxTests {
  @Test func `elements come out in the order they went in`() throws {
    let mailbox = try Mailbox<Int>()
    for element in 0..<3000 { #expect(mailbox.post(element)) }
    #expect(mailbox.count == 3000)
    for element in 0..<1500 { #expect(mailbox.take() == element) }
    #expect(mailbox.drain() == Array(1500..<3000))
    #expect(mailbox.drain() == [])
    #expect(mailbox.take(milliseconds: 0) == nil)
  }

  @Test func `a full box refuses`() throws {
    let mailbox = try Mailbox<Int>(capacity: 2)
    #expect(mailbox.post(1))
    #expect(mailbox.post(2))
    #expect(!mailbox.post(3))
    #expect(mailbox.take() == 1)
    #expect(mailbox.post(4))
    #expect(mailbox.drain() == [2, 4])
  }

  @Test func `a closed box gives what it has and then nothing`() throws {
    let mailbox = try Mailbox<Int>()
    mailbox.post(1)
    mailbox.close()
    #expect(!mailbox.post(2))
    #expect(mailbox.take() == 1)
    #expect(mailbox.take() == nil)
    #expect(mailbox.drain() == [])
    #expect(mailbox.take(milliseconds: 60_000) == nil)
  }

  @Test func `closing wakes whoever waits`() throws {
    let mailbox = try Mailbox<Int>()
    let thread = try OwnedThread(name: "taker") { while mailbox.take() != nil {} }
    mailbox.post(1)
    mailbox.close()
    thread.join()
  }

  @Test func `nothing is lost between many threads and one`() throws {
    let mailbox = try Mailbox<(thread: Int, number: Int)>()
    let count = 2000
    let threads = try (0..<4).map { thread in
      try OwnedThread(name: "poster \(thread)") {
        for number in 0..<count { mailbox.post((thread, number)) }
      }
    }
    var next = [0, 0, 0, 0]
    for _ in 0..<4 * count {
      let element = try #require(mailbox.take())
      #expect(element.number == next[element.thread])
      next[element.thread] += 1
    }
    for thread in threads { thread.join() }
    #expect(next == [count, count, count, count])
  }
}
