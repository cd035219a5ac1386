import Configuration
import Network
import Planning

extension PlanReport {
  /// The report for programs; keys are only ever added. Units end the names.
  var json: JSONValue {
    .object([
      .init("network", .string(name)),
      .init("kernels", .string(source)),
      .init("cluster", Self.json(shape)),
      .init(
        "convLayers",
        .array(
          network.stages.map { stage in
            let adds = network.convolutional[stage.layers].reduce(0) {
              $0 + network.multiplyAdds(of: $1)
            }
            return .object([
              .init("name", .string(stage.name)),
              .init("parameters", .int(stage.parameterCount)),
              .init("flopsPerImage", .int(2 * adds)),
              .init(
                "forwardSeconds", .double(speeds.forward[stage.index].seconds(shape.share))),
              .init(
                "backwardSeconds", .double(speeds.backward[stage.index].seconds(shape.share))),
              .init(
                "bytesPerStep",
                .int(stage.parameterCount * (shape.wire.gradients + shape.wire.parameters))),
            ])
          })),
      .init(
        "layers",
        .array(
          traffic.layers.map { layer in
            .object([
              .init("name", .string(layer.name)),
              .init("form", .string(layer.form.rawValue)),
              .init("reason", .string(layer.reason.rawValue)),
              .init("bytesSent", .int(layer.sent)),
              .init("bytesSentInOtherForm", .int(layer.other)),
            ])
          })),
      .init(
        "bytesPerStep",
        .object([
          .init("worker", Self.json(traffic.workers.first ?? Traffic.Bytes())),
          .init("fcNode", Self.json(traffic.fcNodes.first ?? Traffic.Bytes())),
          .init("server", Self.json(traffic.servers.first ?? Traffic.Bytes())),
          .init("servers", .array(traffic.servers.map(Self.json))),
          .init("hosts", .array(traffic.hosts.map(Self.json))),
        ])),
      .init(
        "step",
        .object([
          .init("seconds", .double(forecast.seconds)),
          .init("imagesPerSecond", .double(forecast.imagesPerSecond(shape))),
          .init("busiestLinkSeconds", .double(forecast.linkSeconds)),
          .init(
            "criticalPath",
            .array(
              forecast.critical.map {
                .object([
                  .init("what", .string($0.kind.rawValue)), .init("seconds", .double($0.seconds)),
                ])
              })),
          .init("tasks", .array(forecast.tasks.map(Self.json))),
        ])),
      .init(
        "recommended",
        .object([
          .init("cluster", Self.json(recommendation.shape)),
          .init("imagesPerSecond", .double(recommendation.imagesPerSecond)),
        ])),
      .init(
        "mostWorkersAtEfficiency",
        .object([
          .init("efficiency", .double(Self.efficiencyBar)),
          .init("workers", .int(scaling.mostWorkers(efficiency: Self.efficiencyBar))),
        ])),
      .init(
        "forecast",
        .array(
          scaling.rows.map { row in
            .object([
              .init("workers", .int(row.workers)),
              .init("cluster", Self.json(row.recommendation.shape)),
              .init("imagesPerSecond", .double(row.recommendation.imagesPerSecond)),
              .init("efficiency", .double(scaling.efficiency(row))),
              .init("ringImagesPerSecond", .double(row.ring)),
              .init("parameterServerImagesPerSecond", .double(row.parameterServer)),
            ])
          })),
    ])
  }

  private static func json(_ shape: ClusterShape) -> JSONValue {
    .object([
      .init("workers", .int(shape.workers)),
      .init("fcNodes", .int(shape.fcNodes)),
      .init("fcMirror", .bool(shape.mirrorsFC)),
      .init("serverShards", .int(shape.serverShards)),
      .init("hosts", .int(shape.hosts)),
      .init("globalBatch", .int(shape.globalBatch)),
      .init("schedule", .string(shape.schedule.rawValue)),
      .init("subBatches", .int(shape.subBatches)),
      .init("fcUpdate", .string(shape.updatesEachSubBatch ? "per-sub-batch" : "per-step")),
      .init("layout", .string(shape.layout.rawValue)),
      .init("linkBytesPerSecond", shape.linkBytesPerSecond.map(JSONValue.double) ?? .null),
    ])
  }

  private static func json(_ bytes: Traffic.Bytes) -> JSONValue {
    .object([.init("sent", .int(bytes.sent)), .init("received", .int(bytes.received))])
  }

  private static func json(_ task: TaskGraph.Task) -> JSONValue {
    .object([
      .init("kind", .string(task.kind.rawValue)), .init("name", .string(task.name)),
      .init("startSeconds", .double(task.start)), .init("endSeconds", .double(task.end)),
    ])
  }
}
