@testable import Planning
import Testing

@Suite struct TaskGraphTests {
  private static func use(_ amount: Double, flows: Double = 1, of resource: Int = 0)
    -> TaskGraph.Use
  {
    TaskGraph.Use(resource: resource, amount: amount, flows: flows)
  }

  private static func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 2e-3 * max(b, 1) }

  @Test func `tasks of one queue run one after another in the order they became ready`() {
    var graph = TaskGraph()
    let cores = [TaskGraph.Resource(capacity: 4, perFlow: 1)]
    let first = graph.add(.convForward, "a", step: 0, queue: 0, [Self.use(2)], after: [])
    let second = graph.add(.convForward, "b", step: 0, queue: 0, [Self.use(1)], after: [])
    graph.run(cores)
    #expect(Self.near(graph.tasks[first].end, 2))
    #expect(Self.near(graph.tasks[second].start, 2) && Self.near(graph.tasks[second].end, 3))
    #expect(graph.chain(to: second) == [first, second])
  }

  @Test func `four threads on two cores take twice as long, and no thread has more than a core`() {
    let cores = [TaskGraph.Resource(capacity: 2, perFlow: 1)]
    var graph = TaskGraph()
    _ = graph.add(.convForward, "four", step: 0, [Self.use(4, flows: 4)], after: [])
    graph.run(cores)
    #expect(Self.near(graph.tasks[0].end, 2))
    graph = TaskGraph()
    _ = graph.add(.convForward, "one", step: 0, [Self.use(1)], after: [])
    graph.run(cores)
    #expect(Self.near(graph.tasks[0].end, 1))
  }

  @Test func `flows share a link evenly, and what one of them cannot take the other has`() {
    let links = [TaskGraph.Resource(capacity: 10), TaskGraph.Resource(capacity: 2)]
    var graph = TaskGraph()
    _ = graph.add(.push, "slow", step: 0, [Self.use(4), Self.use(4, of: 1)], after: [])
    _ = graph.add(.push, "fast", step: 0, [Self.use(16)], after: [])
    graph.run(links)
    // 2 a second where the second link is in the way, and so 8 for the other.
    #expect(Self.near(graph.tasks[0].end, 2), "\(graph.tasks[0].end)")
    #expect(Self.near(graph.tasks[1].end, 2), "\(graph.tasks[1].end)")
  }

  @Test func `what is sent has the core that it needs before what is computed`() {
    let cores = [TaskGraph.Resource(capacity: 1, perFlow: 1)]
    var graph = TaskGraph()
    _ = graph.add(.push, "send", step: 0, [Self.use(1)], latency: 5, after: [])
    _ = graph.add(.convForward, "compute", step: 0, [Self.use(1)], after: [])
    graph.run(cores)
    #expect(Self.near(graph.tasks[0].end, 6))
    #expect(Self.near(graph.tasks[1].end, 2), "\(graph.tasks[1].end)")
  }
}
