package import Network
import Tensors

/// One training step of a cluster as it is expected to run: its time, its timeline, and what it
/// hangs on.
///
/// Workers do alike and so do FC nodes; so one of each is followed, the last worker where the
/// schedule deals whole sub-batches; what the others take of shared cores and links is counted with
/// theirs. Three steps run one after another; the last one counts, because a step begins before the
/// one before has ended.
package struct StepForecast: Sendable {
  /// Seconds from one commit to the next.
  package let seconds: Double
  /// Tasks of the step that counts, with times from its beginning.
  package let tasks: [TaskGraph.Task]
  /// Seconds of the step by what it hung on, in the order of the kinds.
  package let critical: [(kind: TaskGraph.Kind, seconds: Double)]
  /// Seconds a link of the busiest machine is at work.
  package let linkSeconds: Double

  /// Examples a second.
  package func imagesPerSecond(_ shape: ClusterShape) -> Double {
    Double(shape.globalBatch) / seconds
  }

  package init(_ plan: NetworkPlan, _ shape: ClusterShape, _ speeds: Speeds) {
    var builder = StepBuilder(plan, shape, speeds)
    for step in 0..<3 { builder.add(step) }
    builder.graph.run(builder.resources.all)
    let graph = builder.graph
    let (before, last) = (builder.commits[1], builder.commits[2])
    let start = graph.tasks[before].end
    seconds = max(graph.tasks[last].end - start, 1e-9)
    tasks = graph.tasks.filter { $0.end > start && $0.start < graph.tasks[last].end }.map {
      var task = $0
      task.start -= start
      task.end -= start
      return task
    }
    var sums: [TaskGraph.Kind: Double] = [:]
    let chain = graph.chain(to: last).map { graph.tasks[$0] }.sorted { $0.end < $1.end }
    var end = start
    for task in chain {
      // What follows in a queue begins before the other's latency is over: each moment counts once.
      sums[task.kind, default: 0] += max(0, task.end - max(task.start, end))
      end = max(end, task.end)
    }
    critical = TaskGraph.Kind.allCases.compactMap { kind in
      sums[kind].flatMap { $0 > 0 ? (kind: kind, seconds: $0) : nil }
    }
    let rate = shape.linkBytesPerSecond ?? .infinity
    linkSeconds = Double(builder.busiestLinkBytes) / rate
  }
}
