import Messages

/// A status record as measures for Prometheus, in its base units: seconds, bytes, ratios of 1.
enum StatusMetrics {
  private typealias Family = Exposition.Family
  private typealias Sample = Exposition.Sample

  /// All families; a value that is not known yet has no sample.
  static func families(_ record: StatusRecord, version: String) -> [Exposition.Family] {
    run(record, version: version) + training(record) + cluster(record) + nodes(record)
  }

  private static func run(_ record: StatusRecord, version: String) -> [Family] {
    [
      Family(
        name: "crosscut_build", kind: .info, help: "Version of the server.",
        samples: [Sample(labels: [("version", version)], value: 1)]),
      Family(
        name: "crosscut_run", kind: .info, help: "The run.",
        samples: [Sample(labels: [("run", record.run), ("name", record.name)], value: 1)]),
      Family(
        name: "crosscut_run_state", kind: .gauge, help: "1 for the state that the run is in.",
        samples: StatusRecord.State.allCases.map {
          Sample(labels: [("state", $0.rawValue)], value: $0 == record.state ? 1 : 0)
        }),
      gauge(
        "crosscut_run_elapsed_seconds", "Since the run began or was resumed.",
        record.elapsedSeconds, unit: "seconds"),
      gauge(
        "crosscut_run_remaining_seconds", "Until the last step, at the present rate.",
        record.etaSeconds, unit: "seconds"),
    ]
  }

  private static func training(_ record: StatusRecord) -> [Family] {
    [
      Family(
        name: "crosscut_steps", kind: .counter, help: "Training steps that have been committed.",
        samples: [Sample(value: Double(record.step))]),
      gauge("crosscut_steps_planned", "Training steps at the end.", Double(record.totalSteps)),
      gauge("crosscut_epoch", "Passes over the training set.", record.epoch),
      gauge("crosscut_loss", "Mean training loss of the recent steps.", record.loss),
      gauge(
        "crosscut_accuracy_ratio", "Training accuracy of the recent steps.", record.accuracy,
        unit: "ratio"),
      gauge("crosscut_learning_rate", "Learning rate of the weights.", record.learningRate),
      gauge(
        "crosscut_images_per_second", "Training examples a second over the last seconds.",
        record.imagesPerSecond),
      gauge("crosscut_test_loss", "Mean loss over the test set.", record.testLoss),
      gauge(
        "crosscut_test_accuracy_ratio", "Accuracy on the test set.", record.testAccuracy,
        unit: "ratio"),
      gauge(
        "crosscut_test_top5_accuracy_ratio", "Top-5 accuracy on the test set.", record.testTop5,
        unit: "ratio"),
      gauge(
        "crosscut_test_step", "Step after which the test set was last run.",
        record.testStep.map { Double($0) }),
    ]
  }

  private static func cluster(_ record: StatusRecord) -> [Family] {
    var counts: [Sample] = []
    let shards = record.serverShardsWanted
    for role in [Role.worker, .fc] + (shards == nil ? [] : [.shard]) {
      for state in NodeRecord.State.allCases {
        counts.append(
          Sample(
            labels: [("role", role.rawValue), ("state", state.rawValue)],
            value: Double(record.nodes.count { $0.role == role && $0.state == state })))
      }
    }
    let waits = record.nodes.flatMap(\.waits) + record.serverWaits
    return [
      gauge("crosscut_view", "Number of the cluster's view.", Double(record.view)),
      Family(
        name: "crosscut_nodes", kind: .gauge, help: "Nodes by role and state.", samples: counts),
      Family(
        name: "crosscut_nodes_wanted", kind: .gauge, help: "Nodes the configuration asks for.",
        samples: [
          Sample(labels: [("role", "worker")], value: Double(record.workersWanted)),
          Sample(labels: [("role", "fc")], value: Double(record.fcNodesWanted)),
        ] + (shards.map { [Sample(labels: [("role", "shard")], value: Double($0))] } ?? [])),
      gauge(
        "crosscut_longest_wait_seconds", "The longest wait of any node or the server.",
        Double(waits.map(\.milliseconds).max() ?? 0) / 1000, unit: "seconds"),
    ]
  }

  private static func nodes(_ record: StatusRecord) -> [Family] {
    let nodes = unique(record.nodes)
    func each(
      _ name: String, _ kind: Exposition.Kind, _ help: String, unit: String = "",
      _ value: (NodeRecord) -> Double
    ) -> Family {
      Family(
        name: name, kind: kind, unit: unit, help: help,
        samples: nodes.map { Sample(labels: labels($0), value: value($0)) })
    }
    var steps: [Sample] = []
    for node in nodes {
      for (phase, milliseconds) in phases(node) {
        steps.append(
          Sample(labels: labels(node) + [("phase", phase)], value: milliseconds / 1000))
      }
    }
    return [
      each("crosscut_node_up", .gauge, "1 while heartbeats of the node come.") {
        $0.state == .active || $0.state == .joined ? 1 : 0
      },
      each(
        "crosscut_node_heartbeat_age_seconds", .gauge, "Since the node's last heartbeat.",
        unit: "seconds"
      ) { Double($0.heartbeatAgeMilliseconds) / 1000 },
      each(
        "crosscut_node_since_progress_seconds", .gauge, "Since the node last moved.",
        unit: "seconds"
      ) { Double($0.millisecondsSinceProgress) / 1000 },
      Family(
        name: "crosscut_node_step_seconds", kind: .gauge, unit: "seconds",
        help: "Mean time a step of the last interval, by what the node did.", samples: steps),
      each(
        "crosscut_node_sent_bytes", .counter, "Bytes the node has sent.", unit: "bytes"
      ) { Double($0.bytesSent) },
      each(
        "crosscut_node_received_bytes", .counter, "Bytes the node has received.", unit: "bytes"
      ) { Double($0.bytesReceived) },
      each(
        "crosscut_node_resident_memory_bytes", .gauge, "Memory of the node's process.",
        unit: "bytes"
      ) { Double($0.residentBytes) },
      each("crosscut_node_dropped_messages", .counter, "Messages the node has refused.") {
        Double($0.droppedMessages)
      },
      each(
        "crosscut_node_socket_gap_seconds", .gauge,
        "Largest time between two turns of the node's socket thread, last interval.",
        unit: "seconds"
      ) { $0.largestGapMilliseconds / 1000 },
    ] + loaders(nodes.filter { $0.role == .worker })
  }

  private static func loaders(_ workers: [NodeRecord]) -> [Family] {
    func each(_ name: String, _ help: String, _ value: (NodeRecord) -> Double) -> Family {
      Family(
        name: name, kind: .gauge, help: help,
        samples: workers.map { Sample(labels: labels($0), value: value($0)) })
    }
    return [
      each(
        "crosscut_node_loader_images_per_second",
        "Images a second that the worker's loader can make ready."
      ) { $0.loaderImagesPerSecond },
      each(
        "crosscut_node_taken_images_per_second",
        "Images a second that the worker has taken from its loader, over the last seconds."
      ) { $0.takenImagesPerSecond },
      each(
        "crosscut_node_broken_examples",
        "Examples that the worker's loader could not read, and gave others for."
      ) { Double($0.brokenExamples ?? 0) },
    ]
  }

  /// A node that comes back with the same rank goes on in the same series.
  private static func labels(_ node: NodeRecord) -> [(name: String, value: String)] {
    [("node", "\(node.name)"), ("role", node.role.rawValue), ("host", node.host)]
  }

  private static func phases(_ node: NodeRecord) -> [(String, Double)] {
    let times = node.stepMilliseconds
    switch node.role {
    case .worker:
      return [
        ("data", times.data), ("conv_forward", times.convForward),
        ("waiting_for_fc", times.waitingForFC), ("conv_backward", times.convBackward),
        ("waiting_for_parameters", times.waitingForParameters),
      ]
    case .fc, .shard:
      return [("compute", times.compute), ("waiting_for_peers", times.waitingForPeers)]
    case .server, .observer: return []
    }
  }

  /// A series must not stand there twice: of two nodes of one name the living one counts.
  private static func unique(_ nodes: [NodeRecord]) -> [NodeRecord] {
    var seen: Set<NodeName> = []
    let living = nodes.filter { $0.state != .gone }
    return (living + nodes.filter { $0.state == .gone }).filter { seen.insert($0.name).inserted }
  }

  private static func gauge(
    _ name: String, _ help: String, _ value: Double?, unit: String = ""
  ) -> Family {
    Family(
      name: name, kind: .gauge, unit: unit, help: help,
      samples: value.map { [Sample(value: $0)] } ?? [])
  }
}
