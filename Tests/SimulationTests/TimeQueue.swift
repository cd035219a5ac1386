import Coordination

/// What is to happen, earliest first; of equal times what was put in first.
struct TimeQueue<Element> {
  private typealias Entry = (time: Microseconds, order: UInt64, what: Element)
  private var heap: [Entry] = []
  private var order: UInt64 = 0

  mutating func push(_ time: Microseconds, _ what: Element) {
    order += 1
    heap.append((time, order, what))
    var child = heap.count - 1
    while child > 0, isEarlier(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func popEarliest() -> (time: Microseconds, what: Element)? {
    guard let first = heap.first else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && isEarlier(child, smallest) { smallest = child }
      if smallest == parent { break }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
    return (first.time, first.what)
  }

  private func isEarlier(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
  }
}
