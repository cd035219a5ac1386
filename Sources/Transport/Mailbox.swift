import Synchronization

/// A queue from any threads to one: the socket thread polls `wakeUp`, a compute thread takes.
///
/// FIFO. Bounded, as every queue; what goes through it is bounded by the protocol far below the
/// capacity, so a refusal means that the reader is stuck.
package final class Mailbox<Element: Sendable>: Sendable {
  private struct State {
    var elements: [Element] = []
    /// Index of the oldest element in `elements`: those before it have been taken.
    var head = 0
    var isClosed = false

    var count: Int { elements.count - head }
  }

  private let state = Mutex(State())
  /// Up while something waits in the box or the box is closed.
  package let wakeUp: WakeUp
  /// Most elements that wait.
  package let capacity: Int

  /// - Throws: `TransportError` when there is no descriptor left.
  package init(capacity: Int = 65_536) throws(TransportError) {
    precondition(capacity > 0, "a mailbox for \(capacity) elements")
    self.capacity = capacity
    wakeUp = try WakeUp()
  }

  /// Elements that wait.
  package var count: Int { state.withLock { $0.count } }

  /// Puts `element` last and wakes the reader; never blocks for long.
  ///
  /// - Returns: false, without the element, if the box is closed or full.
  @discardableResult
  package func post(_ element: Element) -> Bool {
    let accepted = state.withLock { state in
      guard !state.isClosed && state.count < capacity else { return false }
      state.elements.append(element)
      return true
    }
    if accepted { wakeUp.signal() }
    return accepted
  }

  /// Everything that waits, oldest first, without blocking.
  package func drain() -> [Element] {
    // The flag first: what is posted after this raises it again.
    wakeUp.clear()
    return state.withLock { state in
      defer {
        state.elements = []
        state.head = 0
        if state.isClosed { wakeUp.signal() }
      }
      return state.head == 0 ? state.elements : Array(state.elements[state.head...])
    }
  }

  /// The oldest element; blocks until there is one.
  ///
  /// - Returns: `nil` once the box is closed and empty.
  package func take() -> Element? { take(deadline: nil) }

  /// The oldest element; blocks at most `milliseconds` until there is one.
  ///
  /// - Returns: `nil` when there was none in time, or the box is closed and empty.
  package func take(milliseconds: Int) -> Element? {
    take(deadline: MonotonicClock.milliseconds() + max(0, milliseconds))
  }

  /// Refuses further elements; those that wait can still be taken. Wakes the reader.
  package func close() {
    state.withLock { $0.isClosed = true }
    wakeUp.signal()
  }

  private func take(deadline: Int?) -> Element? {
    while true {
      let (element, isClosed): (Element?, Bool) = state.withLock { state in
        guard state.count > 0 else { return (nil, state.isClosed) }
        let element = state.elements[state.head]
        state.head += 1
        // Taken elements are let go in batches; a queue that runs empty starts over at once.
        if state.head == state.elements.count || state.head >= 1024 {
          state.elements.removeFirst(state.head)
          state.head = 0
        }
        return (element, state.isClosed)
      }
      if element != nil || isClosed { return element }
      let left = deadline.map { max(0, $0 - MonotonicClock.milliseconds()) }
      guard wakeUp.wait(milliseconds: left) else { return nil }
      wakeUp.clear()
    }
  }
}
