import Testing

@testable import Observability

@Suite struct MetricsHistoryTests {
  static func point(_ step: UInt64, loss: Double? = nil) -> MetricsHistory.Point {
    MetricsHistory.Point(
      step: step, secondsSinceStart: Double(step), loss: loss ?? Double(step), accuracy: 0.5,
      learningRate: 1 / Double(step), imagesPerSecond: step % 2 == 0 ? 100 : nil)
  }

  @Test(arguments: [0, 1, 7, 8, 9, 64, 1000])
  func `any number of steps has a bounded number of points, whose mean is right`(steps: Int) {
    var history = MetricsHistory(capacity: 8)
    for step in 0..<steps { history.append(Self.point(UInt64(step + 1))) }
    #expect(history.points.count < 8)
    #expect(history.points.map(\.step) == history.points.map(\.step).sorted())
    // A point stands for the `stride` steps up to its own.
    for point in history.points {
      #expect(point.loss == Double(point.step) - Double(history.stride - 1) / 2)
      #expect(Int(point.step) % history.stride == 0)
    }
    #expect(steps - Int(history.points.last?.step ?? 0) < max(history.stride, 2))
  }

  @Test func `rates that are not known are left out of the mean`() {
    var history = MetricsHistory(capacity: 2)
    history.append(Self.point(1))
    #expect(history.points[0].imagesPerSecond == nil)
    history.append(Self.point(2))
    #expect(history.points[0].imagesPerSecond == 100)
    #expect(history.points[0].learningRate == 0.5)
  }

  @Test func `a run that goes back does its steps again`() {
    var history = MetricsHistory(capacity: 64)
    for step: UInt64 in 1...10 { history.append(Self.point(step)) }
    for step: UInt64 in 4...5 { history.append(Self.point(step, loss: 0)) }
    #expect(history.points.map(\.step) == [1, 2, 3, 4, 5])
    #expect(history.points.suffix(2).map(\.loss) == [0, 0])
  }

  @Test func `points after a step, and no more than asked for`() {
    var history = MetricsHistory(capacity: 64)
    for step: UInt64 in 1...20 { history.append(Self.point(step)) }
    #expect(history.points(after: 17, most: 100).map(\.step) == [18, 19, 20])
    #expect(history.points(after: 20, most: 100).isEmpty)
    let few = history.points(after: 0, most: 6)
    #expect(few.map(\.step) == [4, 8, 12, 16, 20])
    #expect(few[0].loss == 2.5)
  }

  @Test func `an evaluation that is run again replaces the first`() {
    var history = MetricsHistory(capacity: 2)
    func evaluation(_ step: UInt64, _ loss: Double) -> MetricsLog.Evaluation {
      .init(step: step, epoch: 1, loss: loss, accuracy: 0, top5: nil, secondsSinceStart: 0)
    }
    for (step, loss): (UInt64, Double) in [(5, 1), (10, 2), (10, 3), (20, 4)] {
      history.append(evaluation(step, loss))
    }
    #expect(history.evaluations.map(\.loss) == [3, 4])
  }

  @Test func `the record has a list for each quantity, undefined numbers as texts`() {
    var history = MetricsHistory(capacity: 4)
    history.append(Self.point(1, loss: .nan))
    history.append(Self.point(2, loss: 0.5))
    let text = String(
      decoding: JSON.encode(HistoryRecord(history, after: 0, most: 100)), as: UTF8.self)
    #expect(text.contains(#""loss":["NaN",0.5]"#))
    #expect(text.contains(#""imagesPerSecond":[null,100]"#))
    #expect(text.contains(#""step":[1,2]"#))
  }
}
