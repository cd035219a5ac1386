/// The course of a run in a bounded number of points.
///
/// A point is the mean of `stride` steps that follow one another. When there are too many points,
/// neighbours are joined and the stride doubles, so that a run of any length keeps its whole course
/// in the memory of its first minutes.
package struct MetricsHistory: Sendable {
  /// Means over some training steps.
  package struct Point: Hashable, Sendable {
    /// Steps done at its end.
    package var step: UInt64
    package var secondsSinceStart: Double
    package var loss: Double
    /// Fraction, 0...1.
    package var accuracy: Double
    package var learningRate: Double
    package var imagesPerSecond: Double?

    package init(
      step: UInt64, secondsSinceStart: Double, loss: Double, accuracy: Double,
      learningRate: Double, imagesPerSecond: Double?
    ) {
      self.step = step
      self.secondsSinceStart = secondsSinceStart
      self.loss = loss
      self.accuracy = accuracy
      self.learningRate = learningRate
      self.imagesPerSecond = imagesPerSecond
    }
  }

  /// Most points, and most evaluations, that are kept.
  package let capacity: Int
  /// Steps a point stands for.
  package private(set) var stride = 1
  /// Oldest first.
  package private(set) var points: [Point] = []
  /// Oldest first; the oldest go when there are too many.
  package private(set) var evaluations: [MetricsLog.Evaluation] = []
  /// Steps that do not make a point yet.
  private var pending: [Point] = []

  /// - Parameter capacity: an even number. More shows finer detail and takes more memory and time
  ///   to send.
  package init(capacity: Int = 2048) {
    precondition(capacity >= 2 && capacity % 2 == 0, "a history of \(capacity) points")
    self.capacity = capacity
  }

  /// Takes in one step.
  package mutating func append(_ step: Point) {
    if let last = points.last, step.step <= last.step { rewind(to: step.step) }
    pending.append(step)
    guard pending.count >= stride else { return }
    points.append(Self.mean(pending))
    pending.removeAll(keepingCapacity: true)
    if points.count >= capacity {
      points = Self.joined(points, by: 2)
      stride *= 2
    }
  }

  /// Takes in one evaluation.
  package mutating func append(_ evaluation: MetricsLog.Evaluation) {
    evaluations.removeAll { $0.step >= evaluation.step }
    evaluations.append(evaluation)
    if evaluations.count > capacity { evaluations.removeFirst(evaluations.count - capacity) }
  }

  /// A run that went back to a checkpoint does its steps again: the newer ones count.
  private mutating func rewind(to step: UInt64) {
    points.removeAll { $0.step >= step }
    pending.removeAll(keepingCapacity: true)
  }

  /// The points after `step`, joined to at most `most`.
  package func points(after step: UInt64, most: Int) -> [Point] {
    let first = points.firstIndex { $0.step > step } ?? points.count
    let part = Array(points[first...])
    let factor = (part.count + max(1, most) - 1) / max(1, most)
    return factor > 1 ? Self.joined(part, by: factor) : part
  }

  private static func joined(_ points: [Point], by factor: Int) -> [Point] {
    Swift.stride(from: 0, to: points.count, by: factor).map {
      mean(points[$0..<min($0 + factor, points.count)])
    }
  }

  /// Rates and measures are means; step, time and learning rate are those of the last.
  private static func mean(_ part: some Collection<Point>) -> Point {
    var sum = (loss: 0.0, accuracy: 0.0, rate: 0.0, rates: 0)
    var point = Point(
      step: 0, secondsSinceStart: 0, loss: 0, accuracy: 0, learningRate: 0, imagesPerSecond: nil)
    for one in part {
      sum.loss += one.loss
      sum.accuracy += one.accuracy
      if let rate = one.imagesPerSecond {
        sum.rate += rate
        sum.rates += 1
      }
      point = one
    }
    let count = Double(part.count)
    point.loss = sum.loss / count
    point.accuracy = sum.accuracy / count
    point.imagesPerSecond = sum.rates > 0 ? sum.rate / Double(sum.rates) : nil
    return point
  }
}

/// A history as JSON: a list for each quantity, all of the same length.
struct HistoryRecord: Codable, Hashable, Sendable {
  struct Training: Codable, Hashable, Sendable {
    var step: [UInt64]
    var secondsSinceStart: [Double]
    var loss: [Double]
    var accuracy: [Double]
    var learningRate: [Double]
    /// `null` where it was not known yet.
    var imagesPerSecond: [Double?]
  }

  struct Evaluation: Codable, Hashable, Sendable {
    var step: [UInt64]
    var secondsSinceStart: [Double]
    var loss: [Double]
    var accuracy: [Double]
    var top5: [Double?]
  }

  var schemaVersion = 1
  /// Steps a point of `training` stands for.
  var stride: Int
  var training: Training
  var evaluation: Evaluation

  /// - Parameters:
  ///   - after: training only after this step; evaluations are few, and come all.
  ///   - most: points of `training` at most.
  init(_ history: MetricsHistory, after: UInt64, most: Int) {
    let points = history.points(after: after, most: most)
    // All of them: one comes after training has gone on, so "after a step" would lose it.
    let evaluations = history.evaluations
    stride = history.stride
    training = Training(
      step: points.map(\.step), secondsSinceStart: points.map(\.secondsSinceStart),
      loss: points.map(\.loss), accuracy: points.map(\.accuracy),
      learningRate: points.map(\.learningRate), imagesPerSecond: points.map(\.imagesPerSecond))
    evaluation = Evaluation(
      step: evaluations.map(\.step), secondsSinceStart: evaluations.map(\.secondsSinceStart),
      loss: evaluations.map(\.loss), accuracy: evaluations.map(\.accuracy),
      top5: evaluations.map(\.top5))
  }
}
