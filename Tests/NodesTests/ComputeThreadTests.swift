import Coordination
import Synchronization
import Testing
import Transport

@testable import Nodes

@Suite struct ComputeThreadTests {
  /// Notes what it is asked to do; the first operation waits until the test lets it go.
  private final class Notes: Performer, @unchecked Sendable {
    // `done` is guarded by the mutex; the mailboxes are for any thread.
    let done = Mutex<[Int]>([])
    let begun: Mailbox<Bool>
    let mayGo: Mailbox<Bool>

    init() throws {
      begun = try Mailbox<Bool>()
      mayGo = try Mailbox<Bool>()
    }

    func perform(_ operation: Int) -> Bool {
      if operation == 100 {
        begun.post(true)
        _ = mayGo.take(milliseconds: 120_000)
      }
      done.withLock { $0.append(operation) }
      return true
    }

    func close() {}
  }

  @Test func `of operations that wait in a row the one needed first is done first`() throws {
    let notes = try Notes()
    let thread = try ComputeThread<Int, Bool, Bool>(
      name: "test", threads: 1, recorder: SpanRecorder(), label: { "\($0)" },
      need: { $0 < 50 ? $0 : nil }
    ) { (notes, true) }
    var number: UInt64 = 0
    func submit(_ operation: Int) {
      number += 1
      thread.submit(OperationID(number), operation)
    }
    submit(100)
    #expect(notes.begun.take(milliseconds: 120_000) == true)
    // What is no such operation is passed by none.
    for operation in [7, 3, 5, 60, 2, 70, 1] { submit(operation) }
    notes.mayGo.post(true)
    thread.stop()
    #expect(notes.done.withLock { $0 } == [100, 3, 5, 7, 60, 2, 70, 1])
  }
}
