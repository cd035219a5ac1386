import Configuration
import Network
import Planning
import Testing

@Suite struct StepForecastTests {
  private static func alexNet() throws -> NetworkPlan {
    try RunConfiguration.parse(text: "{ network: \"alexnet-owt\" }", source: "test").networkPlan()
  }

  private static func shape(
    _ workers: Int, _ nodes: Int, link: Double?, layout: ClusterShape.Layout = .separate
  ) -> ClusterShape {
    var shape = ClusterShape(workers: workers, fcNodes: nodes, globalBatch: 32 * workers)
    (shape.layout, shape.linkBytesPerSecond) = (layout, link)
    return shape
  }

  @Test(arguments: ClusterShape.Schedule.allCases, ClusterShape.Layout.allCases)
  func `without links in the way a step is not shorter than its work`(
    schedule: ClusterShape.Schedule, layout: ClusterShape.Layout
  ) throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e11)
    var shape = Self.shape(4, 4, link: nil, layout: layout)
    (shape.schedule, shape.subBatches) = (schedule, schedule == .gathered ? 1 : 4)
    shape.latencySeconds = 0
    let forecast = StepForecast(plan, shape, speeds)
    #expect(forecast.seconds >= speeds.convolution(32) * 0.999)
    let longest: Double = speeds.convolution(32) + 1.2 * speeds.dense(128) / 4 + 0.2
    #expect(forecast.seconds <= longest)
  }

  @Test func `no more FC nodes are recommended than there are units of the narrowest layer`() throws
  {
    let plan = try RunConfiguration.parse(
      text: """
        { network: { input: [3, 64, 64], layers: [ { type: 'fc', units: 4096 }, 'relu',
          { type: 'fc', units: 3 }, 'relu', { type: 'fc', units: 4096 } ] },
          dataset: { kind: 'synthetic' } }
        """, source: "test"
    ).networkPlan()
    let shape = Self.shape(16, 1, link: nil, layout: .beside)
    let found = Recommendation(plan, shape, Speeds(plan, flops: 1e9))
    #expect(found.shape.fcNodes == 2)
  }

  @Test func `as many FC nodes are recommended as their slices need to go into messages`() throws {
    let plan = try RunConfiguration.parse(
      text: """
        { network: { input: [3, 224, 224], layers: [
            { type: 'conv', channels: 32, kernel: 3, padding: 1 }, { type: 'fc', units: 10 } ] },
          cluster: { fcNodes: 2 }, dataset: { kind: 'synthetic' } }
        """, source: "test"
    ).networkPlan()
    let shape = Self.shape(1, 1, link: nil)
    let found = Recommendation(plan, shape, Speeds(plan, flops: 1e11))
    #expect(found.shape.fcNodes == 2)
  }

  @Test func `the machine alone that others are compared with has no mirror`() throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e11)
    var shape = Self.shape(4, 4, link: 119e6, layout: .beside)
    shape.globalBatch = 32
    let plain = ScalingForecast(plan, shape, speeds, counts: [1]).single
    shape.mirrorsFC = true
    #expect(ScalingForecast(plan, shape, speeds, counts: [1]).single == plain)
  }

  @Test func `a slow link is the step`() throws {
    let plan = try Self.alexNet()
    let shape = Self.shape(4, 4, link: 1e6, layout: .beside)
    let forecast = StepForecast(plan, shape, Speeds(plan, flops: 1e13))
    let busiest = Traffic(plan, shape).busiest
    let link = Double(max(busiest.sent, busiest.received)) / 1e6
    #expect(forecast.seconds >= link * 0.98, "\(forecast.seconds) of \(link)")
    // Up and down partly follow one another.
    #expect(forecast.seconds <= link * 2.1, "\(forecast.seconds) of \(link)")
  }

  @Test(arguments: ClusterShape.Schedule.allCases)
  func `the critical path adds up to the step`(schedule: ClusterShape.Schedule) throws {
    let plan = try Self.alexNet()
    var shape = Self.shape(4, 2, link: 25e6)
    (shape.schedule, shape.subBatches) = (schedule, schedule == .gathered ? 1 : 8)
    let forecast = StepForecast(plan, shape, Speeds(plan, flops: 1e11))
    let sum = forecast.critical.reduce(0) { $0 + $1.seconds }
    #expect(abs(sum / forecast.seconds - 1) < 0.02, "\(sum) of \(forecast.seconds)")
  }

  /// 2014 paper, section 4: (a) waits for all features and for the FC part, (c) for a part of them.
  @Test func `sub-batches hide what a gathered step waits for`() throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e12)
    var shape = Self.shape(8, 8, link: 119e6)
    let gathered = StepForecast(plan, shape, speeds).seconds
    (shape.schedule, shape.subBatches) = (.scattered, 4)
    #expect(StepForecast(plan, shape, speeds).seconds < gathered)
  }

  @Test func `sub-batches that step one after another hide less, and are as many as asked for`()
    throws
  {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e12)
    var shape = Self.shape(8, 8, link: 119e6)
    (shape.schedule, shape.subBatches) = (.scattered, 4)
    let once = StepForecast(plan, shape, speeds)
    shape.updatesEachSubBatch = true
    let each = StepForecast(plan, shape, speeds)
    #expect(each.seconds > once.seconds)
    #expect(each.tasks.filter { $0.kind == .fcUpdate }.count >= 4)
    let sum = each.critical.reduce(0) { $0 + $1.seconds }
    #expect(abs(sum / each.seconds - 1) < 0.02, "\(sum) of \(each.seconds)")
    #expect(Recommendation(plan, shape, speeds).shape.subBatches == 4)
  }

  @Test(arguments: [1, 2, 4, 16])
  func `a recommendation is no slower a machine than what was asked for`(workers: Int) throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e11)
    let shape = Self.shape(workers, 1, link: 119e6)
    let asked = StepForecast(plan, shape, speeds).imagesPerSecond(shape) / Double(shape.hosts)
    let best = Recommendation(plan, shape, speeds)
    #expect(best.imagesPerSecond / Double(best.shape.hosts) >= asked * 0.99)
  }

  @Test(arguments: [false, true])
  func `a mirror costs its exchange and a second gradient`(perSubBatch: Bool) throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e12)
    var shape = Self.shape(2, 2, link: 119e6)
    if perSubBatch {
      (shape.schedule, shape.subBatches, shape.updatesEachSubBatch) = (.scattered, 4, true)
    }
    let plain = StepForecast(plan, shape, speeds)
    shape.mirrorsFC = true
    let mirrored = StepForecast(plan, shape, speeds)
    #expect(mirrored.seconds > plain.seconds)
    func seconds(_ forecast: StepForecast, _ kind: TaskGraph.Kind) -> Double {
      forecast.tasks.filter { $0.kind == kind }.reduce(0) { $0 + $1.end - $1.start }
    }
    #expect(seconds(mirrored, .exchange) > seconds(plain, .exchange))
    // Its weights' gradients are made twice.
    #expect(seconds(mirrored, .fcGradients) > 1.8 * seconds(plain, .fcGradients))
  }

  @Test func `with a mirror two fc nodes are recommended at least`() throws {
    let plan = try Self.alexNet()
    let speeds = Speeds(plan, flops: 1e12)
    var shape = Self.shape(1, 2, link: 119e6)
    #expect(Recommendation(plan, shape, speeds).shape.fcNodes == 1)
    shape.mirrorsFC = true
    #expect(Recommendation(plan, shape, speeds).shape.fcNodes == 2)
  }

  @Test func `efficiency falls with the workers, and one machine alone has all of it`() throws {
    let plan = try Self.alexNet()
    let shape = Self.shape(4, 4, link: 119e6, layout: .beside)
    let scaling = ScalingForecast(plan, shape, Speeds(plan, flops: 1e11), counts: [1, 4, 16, 64])
    let values = scaling.rows.map(scaling.efficiency)
    #expect(abs(values[0] - 1) < 0.05, "\(values)")
    for (fewer, more) in zip(values, values.dropFirst()) {
      #expect(fewer >= more * 0.99, "\(values)")
    }
  }
}
