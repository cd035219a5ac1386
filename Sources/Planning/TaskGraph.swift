/// Tasks that need each other and share threads, cores and links, and when each of them runs.
///
/// A task begins once those it needs are done and its thread, if it has one, is free. From then on it
/// has its part of everything it uses, which all that use it share evenly: a core as the operating
/// system shares it, a link as TCP does. Whenever a task begins or ends the parts are dealt anew.
package struct TaskGraph: Sendable {
  /// What a task is, for people.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case data = "preparing data"
    case convForward = "conv forward"
    case features = "features to FC nodes"
    case fcCompute = "FC forward and backward"
    case exchange = "exchanges among FC nodes"
    case featureGradients = "feature gradients back"
    case convBackward = "conv backward"
    case push = "conv gradients"
    case update = "update"
    case parameters = "conv parameters"
    case fcGradients = "FC weight gradients"
    case fcUpdate = "FC update"

    /// What sends and receives mostly sleeps, and is given a core at once when it wakes.
    var isTransfer: Bool {
      switch self {
      case .features, .exchange, .featureGradients, .push, .parameters: true
      default: false
      }
    }
  }

  package struct Task: Hashable, Sendable {
    package let kind: Kind
    package let name: String
    /// From 0.
    package let step: Int
    /// What does one task after the other: a thread, or a connection's queue.
    let queue: Int?
    let uses: [Use]
    /// After the last of what it uses.
    let latency: Double
    let needs: [Int]
    package internal(set) var start = 0.0
    package internal(set) var end = 0.0
    /// The task whose end let this one start.
    var cause: Int?
  }

  /// What a task takes of a resource.
  struct Use: Hashable, Sendable {
    let resource: Int
    /// Core seconds, or bytes.
    var amount: Double
    /// Threads or connections that take it together, each of them with a part of its own.
    var flows = 1.0
  }

  /// Something that tasks share.
  struct Resource: Hashable, Sendable {
    /// Of its use, a second.
    let capacity: Double
    /// What one flow can take: 1 where the use is a thread's core.
    var perFlow = Double.infinity
  }

  package private(set) var tasks: [Task] = []

  mutating func add(
    _ kind: Kind, _ name: String, step: Int, queue: Int? = nil, _ uses: [Use], latency: Double = 0,
    after needs: [Int]
  ) -> Int {
    var merged: [Use] = []
    for use in uses where use.amount > 0 {
      guard let same = merged.firstIndex(where: { $0.resource == use.resource }) else {
        merged.append(use)
        continue
      }
      merged[same].amount += use.amount
      merged[same].flows += use.flows
    }
    tasks.append(
      Task(
        kind: kind, name: name, step: step, queue: queue, uses: merged, latency: latency,
        needs: needs))
    return tasks.count - 1
  }

  /// Fills in every task's start and end. O(events x tasks under way).
  mutating func run(_ resources: [Resource]) {
    var state = Progress(self)
    while let index = state.next(resources) { state.finish(index, &tasks) }
    assert(state.isDone, "tasks that need each other")
  }

  /// The chain of tasks that the end of `last` hangs on, first to last.
  func chain(to last: Int) -> [Int] {
    var chain = [last]
    while let cause = tasks[chain[chain.count - 1]].cause { chain.append(cause) }
    return chain.reversed()
  }
}

/// How far a graph's tasks have come at a moment.
private struct Progress {
  private let graph: TaskGraph
  private var now = 0.0
  private var missing: [Int]
  private var dependents: [[Int]]
  /// Of each task, what is left of it: 1 at its beginning.
  private var left: [Double]
  private var rates: [Double]
  /// Under way, ascending.
  private var active: [Int] = []
  /// Done but for their latency, soonest first, and until when.
  private var landing: [(time: Double, index: Int)] = []
  /// By queue: those that wait for their turn, the first one at work.
  private var queues: [Int: [Int]] = [:]
  private var unfinished: Int
  private var starts: [Double]
  private var causes: [Int?]

  init(_ graph: TaskGraph) {
    self.graph = graph
    let count = graph.tasks.count
    missing = graph.tasks.map(\.needs.count)
    dependents = Array(repeating: [], count: count)
    for (index, task) in graph.tasks.enumerated() {
      for need in task.needs { dependents[need].append(index) }
    }
    left = Array(repeating: 1, count: count)
    rates = Array(repeating: 0, count: count)
    starts = Array(repeating: 0, count: count)
    causes = Array(repeating: nil, count: count)
    unfinished = count
    for index in graph.tasks.indices where missing[index] == 0 { release(index, cause: nil) }
  }

  var isDone: Bool { unfinished == 0 }

  /// All that `index` needs is done: it begins, or waits for its queue.
  private mutating func release(_ index: Int, cause: Int?) {
    if let queue = graph.tasks[index].queue {
      queues[queue, default: []].append(index)
      if queues[queue]?.first != index { return }
    }
    begin(index, cause: cause)
  }

  private mutating func begin(_ index: Int, cause: Int?) {
    (starts[index], causes[index]) = (now, cause)
    active.insert(index, at: active.firstIndex { $0 > index } ?? active.endIndex)
  }

  /// Goes on until a task is done, and gives it.
  mutating func next(_ resources: [TaskGraph.Resource]) -> Int? {
    while unfinished > 0 {
      deal(resources)
      var soonest: (time: Double, index: Int?) = (landing.first?.time ?? .infinity, nil)
      for index in active {
        let time = now + (graph.tasks[index].uses.isEmpty ? 0 : left[index] / rates[index])
        if time < soonest.time { soonest = (time, index) }
      }
      guard soonest.time < .infinity else { return nil }
      for index in active { left[index] -= rates[index] * (soonest.time - now) }
      now = soonest.time
      guard let index = soonest.index else { return landing.removeFirst().index }
      active.removeAll { $0 == index }
      leaveQueue(index)
      let time = now + graph.tasks[index].latency
      if graph.tasks[index].latency == 0 { return index }
      let place = landing.firstIndex { $0.time > time } ?? landing.endIndex
      landing.insert((time, index), at: place)
    }
    return nil
  }

  private mutating func leaveQueue(_ index: Int) {
    guard let queue = graph.tasks[index].queue else { return }
    queues[queue]?.removeFirst()
    if let next = queues[queue]?.first { begin(next, cause: index) }
  }

  mutating func finish(_ index: Int, _ tasks: inout [TaskGraph.Task]) {
    tasks[index].start = starts[index]
    tasks[index].end = now
    tasks[index].cause = causes[index]
    unfinished -= 1
    for dependent in dependents[index] {
      missing[dependent] -= 1
      if missing[dependent] == 0 { release(dependent, cause: index) }
    }
  }

  // MARK: Who gets how much

  /// Deals every resource evenly among the flows that use it, transfers first; what one of them
  /// cannot take, because something else holds it up, the others have.
  private mutating func deal(_ resources: [TaskGraph.Resource]) {
    var free = resources.map(\.capacity)
    for index in active { rates[index] = 0 }
    for transfers in [true, false] {
      var growing = active.filter {
        graph.tasks[$0].kind.isTransfer == transfers && !graph.tasks[$0].uses.isEmpty
      }
      // Each round deals what the one before has left; a few come within a thousandth of the end.
      for _ in 0..<12 where !growing.isEmpty {
        growing = grow(growing, resources, &free)
      }
    }
    // A task that others have starved goes on, if barely: nothing stands still.
    for index in active where rates[index] <= 0 { rates[index] = 1e-6 }
  }

  /// - Returns: those that can still grow.
  private mutating func grow(
    _ growing: [Int], _ resources: [TaskGraph.Resource], _ free: inout [Double]
  ) -> [Int] {
    var flows = Array(repeating: 0.0, count: resources.count)
    for index in growing {
      for use in graph.tasks[index].uses { flows[use.resource] += use.flows }
    }
    let shares = zip(free, flows).map { $1 > 0 ? $0 / $1 : 0 }
    var used = free.map { _ in 0.0 }
    var still: [Int] = []
    for index in growing {
      var step = Double.infinity
      var limit = Double.infinity
      for use in graph.tasks[index].uses {
        step = min(step, shares[use.resource] * use.flows / use.amount)
        limit = min(limit, resources[use.resource].perFlow * use.flows / use.amount)
      }
      let room = limit - rates[index]
      rates[index] += min(step, room)
      for use in graph.tasks[index].uses { used[use.resource] += min(step, room) * use.amount }
      if step < room, step > 1e-3 * rates[index] { still.append(index) }
    }
    for resource in free.indices { free[resource] = max(0, free[resource] - used[resource]) }
    return still
  }
}
