package import Network

/// The fastest way found to run a number of workers, and what it is to give.
package struct Recommendation: Sendable {
  package let shape: ClusterShape
  package let forecast: StepForecast

  package var imagesPerSecond: Double { forecast.imagesPerSecond(shape) }

  /// Tries FC nodes in powers of two (two at least for a mirror) up to as many as workers, the three schedules, and server
  /// shards in powers of two up to one a worker; the simplest within 1 % of the fastest is taken.
  ///
  /// - Parameters:
  ///   - base: says everything else: batch, layout, link, wire.
  ///   - fcNodes: only so many; `nil` for any.
  package init(
    _ plan: NetworkPlan, _ base: ClusterShape, _ speeds: Speeds, fcNodes: Int? = nil
  ) {
    func better(_ held: Recommendation?, _ shape: ClusterShape) -> Recommendation {
      let found = Recommendation(shape, StepForecast(plan, shape, speeds))
      // Machines count: twice as many FC nodes must pay for themselves.
      if let held, found.merit <= held.merit * 1.01 { return held }
      return found
    }
    // One server may be what everything hangs on, so that nothing else makes a difference: the rest
    // is chosen with one and with as many as there can be, their number after that.
    let counts = Self.shardCounts(plan, base)
    var best: Recommendation?
    for count in Set([counts[0], counts[counts.count - 1]]).sorted() {
      var shape = base
      shape.serverShards = count
      var held: Recommendation?
      for candidate in Self.candidates(plan, shape, fcNodes: fcNodes) {
        held = better(held, candidate)
      }
      guard let chosen = held?.shape else { continue }
      for count in counts {
        shape = chosen
        shape.serverShards = count
        best = better(best, shape)
      }
    }
    self = best ?? Recommendation(base, StepForecast(plan, base, speeds))
  }

  /// Powers of two up to one a worker, and no more than chunks.
  private static func shardCounts(_ plan: NetworkPlan, _ base: ClusterShape) -> [Int] {
    let chunks = ChunkTable(stages: plan.stages, maximumElements: base.chunkElements).chunks.count
    let most = max(1, min(base.workers, chunks))
    var counts = [1]
    while let last = counts.last, last * 2 <= most { counts.append(last * 2) }
    if counts.last != most { counts.append(most) }
    return counts
  }

  private init(_ shape: ClusterShape, _ forecast: StepForecast) {
    self.shape = shape
    self.forecast = forecast
  }

  /// Images a second; with machines of their own for the FC nodes, per machine.
  private var merit: Double {
    shape.layout == .beside ? imagesPerSecond : imagesPerSecond / Double(shape.hosts)
  }

  private static func candidates(
    _ plan: NetworkPlan, _ base: ClusterShape, fcNodes: Int?
  ) -> [ClusterShape] {
    // More could not each own something of every activation, fewer not send their rows.
    let most = plan.narrowest.units
    var fewest = base.mirrorsFC ? 2 : 1
    while fewest * 2 <= most, DenseCut(plan, nodes: fewest).longestRow > DenseCut.frameFloats {
      fewest *= 2
    }
    var nodes = [fcNodes ?? fewest]
    if fcNodes == nil {
      while let last = nodes.last, last * 2 <= min(base.workers, most) { nodes.append(last * 2) }
      if base.workers <= most, base.workers > nodes[nodes.count - 1] {
        nodes.append(base.workers)
      }
    }
    var shapes: [ClusterShape] = []
    for count in nodes {
      var shape = base
      shape.fcNodes = count
      // Where the FC weights step once a sub-batch, their number is part of the training.
      let ways: [(ClusterShape.Schedule, Int)] =
        base.updatesEachSubBatch
        ? [(.scattered, base.subBatches), (.roundRobin, base.subBatches)]
        : [
          (.gathered, 1), (.scattered, 2), (.scattered, 4), (.scattered, 8),
          (.roundRobin, min(base.workers, 16)),
        ]
      for (schedule, parts) in ways
      where parts <= (base.updatesEachSubBatch ? base.globalBatch : base.share)
        && (schedule == .gathered || parts > 1)
      {
        (shape.schedule, shape.subBatches) = (schedule, parts)
        shapes.append(shape)
      }
    }
    return shapes
  }
}

/// Images a second and efficiency for growing numbers of workers, each with the same share.
package struct ScalingForecast: Sendable {
  package struct Row: Sendable {
    /// What is recommended for so many workers.
    package let recommendation: Recommendation
    package let ring: Double
    package let parameterServer: Double

    package var workers: Int { recommendation.shape.workers }
  }

  package let rows: [Row]
  /// One machine that trains alone.
  package let single: Double

  /// - Parameters:
  ///   - base: its share of the batch is every worker's.
  ///   - counts: of workers.
  package init(
    _ plan: NetworkPlan, _ base: ClusterShape, _ speeds: Speeds,
    counts: [Int] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
  ) {
    let share = base.share
    var alone = base
    (alone.workers, alone.fcNodes, alone.globalBatch) = (1, 1, share)
    (alone.layout, alone.mirrorsFC) = (.beside, false)
    // A machine's own cores can pipeline too; the faster way is the measure.
    single = max(
      Double(share) / Rival.ring.seconds(plan, alone, speeds),
      Recommendation(plan, alone, speeds, fcNodes: 1).imagesPerSecond)
    rows = counts.map { count in
      var shape = base
      (shape.workers, shape.globalBatch) = (count, count * share)
      func rate(_ rival: Rival) -> Double {
        Double(shape.globalBatch) / rival.seconds(plan, shape, speeds)
      }
      return Row(
        recommendation: Recommendation(plan, shape, speeds), ring: rate(.ring),
        parameterServer: rate(.parameterServer))
    }
  }

  /// Of what as many machines would do that never wait for each other.
  package func efficiency(_ row: Row) -> Double {
    row.recommendation.imagesPerSecond / (Double(row.recommendation.shape.hosts) * single)
  }

  /// The most workers whose efficiency is at least `bar`.
  package func mostWorkers(efficiency bar: Double) -> Int {
    rows.last { efficiency($0) >= bar }?.workers ?? 0
  }
}
