/// Tasks that need each other and share cores and links, and when each of them runs.
///
/// A task starts once those it needs are done and everything it occupies is free; among those that
/// could start, the one that can do so first does, then the one that waits longest. Nothing is
/// interrupted.
package struct TaskGraph: Sendable {
  /// What a task is, for people.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
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
  }

  package struct Task: Hashable, Sendable {
    package let kind: Kind
    package let name: String
    /// From 0.
    package let step: Int
    /// What it occupies, and for how long.
    let occupied: [Use]
    /// After the last of what it occupies.
    let latency: Double
    let needs: [Int]
    package internal(set) var start = 0.0
    package internal(set) var end = 0.0
    /// The task whose end let this one start.
    var cause: Int?
  }

  struct Use: Hashable, Sendable {
    let resource: Int
    let seconds: Double
  }

  package private(set) var tasks: [Task] = []

  mutating func add(
    _ kind: Kind, _ name: String, step: Int, _ occupied: [Use], latency: Double = 0,
    after needs: [Int]
  ) -> Int {
    tasks.append(
      Task(
        kind: kind, name: name, step: step, occupied: occupied, latency: latency, needs: needs))
    return tasks.count - 1
  }

  /// Fills in every task's start and end.
  mutating func run() {
    var missing = tasks.map(\.needs.count)
    var dependents = Array(repeating: [Int](), count: tasks.count)
    for (index, task) in tasks.enumerated() {
      for need in task.needs { dependents[need].append(index) }
    }
    var ready = tasks.indices.filter { missing[$0] == 0 }
    var earliest: [(time: Double, cause: Int?)] = Array(
      repeating: (time: 0, cause: nil), count: tasks.count)
    let resources = (tasks.flatMap { $0.occupied.map(\.resource) }.max() ?? -1) + 1
    var free: [(time: Double, by: Int?)] = Array(
      repeating: (time: 0, by: nil), count: resources)
    while !ready.isEmpty {
      var best = 0
      var bestStart: (time: Double, cause: Int?) = (time: .infinity, cause: nil)
      for (place, index) in ready.enumerated() {
        var start = earliest[index]
        for use in tasks[index].occupied where free[use.resource].time > start.time {
          start = (time: free[use.resource].time, cause: free[use.resource].by)
        }
        let isNext =
          start.time == bestStart.time
          ? (earliest[index].time, index) < (earliest[ready[best]].time, ready[best])
          : start.time < bestStart.time
        if isNext { (best, bestStart) = (place, start) }
      }
      let index = ready.remove(at: best)
      tasks[index].start = bestStart.time
      tasks[index].cause = bestStart.cause
      var end = bestStart.time
      for use in tasks[index].occupied {
        free[use.resource] = (time: bestStart.time + use.seconds, by: index)
        end = max(end, bestStart.time + use.seconds)
      }
      tasks[index].end = end + tasks[index].latency
      for dependent in dependents[index] {
        if tasks[index].end > earliest[dependent].time {
          earliest[dependent] = (time: tasks[index].end, cause: index)
        }
        missing[dependent] -= 1
        if missing[dependent] == 0 { ready.append(dependent) }
      }
    }
  }

  /// The chain of tasks that the end of `last` hangs on, first to last.
  func chain(to last: Int) -> [Int] {
    var chain = [last]
    while let cause = tasks[chain[chain.count - 1]].cause { chain.append(cause) }
    return chain.reversed()
  }
}
