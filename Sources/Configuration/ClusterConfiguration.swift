/// Processes, messages and deadlines of the cluster.
package struct ClusterConfiguration: Hashable, Sendable, ConfigurationSection {
  package var workers = 1
  package var fcNodes = 1
  /// Parameter servers that share the chunks; the first one is the coordinator. Larger: no single
  /// link carries all conv gradients and parameters. Smaller: fewer processes whose death costs the
  /// steps since the last checkpoint.
  package var serverShards = 1
  /// Largest message of convolutional parameters or gradients. Larger: fewer messages. Smaller: the
  /// exchange starts earlier beside the backward pass.
  package var chunkBytes = 1 << 20
  /// Between two heartbeats of a node.
  package var heartbeatMilliseconds = 500
  /// A node that is silent for so long is taken for dead; the server looks every 50 ms, so by itself
  /// within three seconds. Smaller: quicker repair. Larger: a node on a busy machine is not expelled
  /// by mistake.
  package var memberTimeoutMilliseconds = 2800
  /// A run without a completed step for so long says whom it waits for, and sends a worker that
  /// hangs away; 20 usual steps, but at least 10 seconds, are enough where that is less.
  package var progressTimeoutSeconds = 60
  /// With fewer workers the run pauses. Larger: a step does not take many times as long because
  /// most machines are gone.
  package var minimumWorkers = 1
  /// What becomes of a run that has lost an FC node.
  package var fcLoss = FCLoss.wait

  package enum FCLoss: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// Another node must take the free place.
    case wait
    /// Those that are left share the FC layers among them.
    case recut
  }

  /// Whether each FC node's slice is kept by the next one too, from the factors of its gradients. On:
  /// the loss of an FC node costs no step. Off: no second copy of the weights and velocities, no
  /// second computation of their gradients.
  package var fcMirror = false

  package init() {}

  /// `chunkBytes` in 32-bit floats.
  package var chunkElements: Int { chunkBytes / 4 }

  static var title: String { "cluster" }
  static var fields: [Field<ClusterConfiguration>] {
    [
      Field(
        "workers", \.workers, .between(1, 4096),
        "Workers: replicas of the conv layers; a run has at most 512, more are for plans."),
      Field("fcNodes", \.fcNodes, .between(1, 4096), "FC nodes: slices of the fc layers."),
      Field(
        "serverShards", \.serverShards, .between(1, 1024),
        "Parameter servers, with a share of the conv parameters each."),
      Field(
        "chunkBytes", \.chunkBytes,
        Rule {
          // 4 MiB is the wire's largest frame.
          guard $0 >= 64, $0 <= 4 << 20 else {
            return Rule<Int>.between(64, 4 << 20).violation($0)
          }
          return $0 % 4 == 0 ? nil : "must be a multiple of 4, the bytes of a float, not \($0)"
        }, "Largest message of conv parameters or gradients."),
      Field(
        "heartbeatMilliseconds", \.heartbeatMilliseconds, .between(10, 60_000),
        "Between two heartbeats of a node."),
      Field(
        "memberTimeoutMilliseconds", \.memberTimeoutMilliseconds, .between(50, 3_600_000),
        "A node silent for so long is taken for dead."),
      Field(
        "progressTimeoutSeconds", \.progressTimeoutSeconds, .between(1, 86_400),
        "Without progress for so long (or 20 usual steps, at least 10 s) a node hangs."),
      Field(
        "minimumWorkers", \.minimumWorkers, .between(1, 4096),
        "With fewer workers than these, at most all, the run pauses."),
      Field(
        "fcLoss", \.fcLoss,
        "When an FC node is lost: \"wait\" for another, or \"recut\" its layers among the rest."),
      Field(
        "fcMirror", \.fcMirror,
        "Each FC node's slice is kept by the next one too: its loss costs no step."),
    ]
  }
}

/// Kernels and threads.
package struct ComputeConfiguration: Hashable, Sendable, ConfigurationSection {
  package enum ConvolutionAlgorithm: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// oneDNN's choice; Winograd where it is faster, at slightly larger rounding errors.
    case auto
    case direct
  }

  package var convAlgorithm = ConvolutionAlgorithm.auto
  /// OpenMP threads of each node's kernels; 0 shares the machine's cores among its nodes.
  package var threadsPerNode = 0

  package init() {}

  static var title: String { "compute" }
  static var fields: [Field<ComputeConfiguration>] {
    [
      Field("convAlgorithm", \.convAlgorithm, "\"auto\" (Winograd where faster) or \"direct\"."),
      Field(
        "threadsPerNode", \.threadsPerNode, .between(0, 1024),
        "Threads of a node's kernels; 0 shares the machine's cores."),
    ]
  }
}
