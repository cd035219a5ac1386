import Configuration
import Kernels
import Tensors
import Testing
import Training

@testable import Nodes

/// `precision: "bf16"` against its fp32 twin, on CPUs where oneDNN says that it has bf16.
@Suite(
  .timeLimit(.minutes(30)), .serialized, .enabled(if: KernelLibrary.precisions.contains(.bf16)))
struct BFloat16Tests {
  /// Twenty steps in bf16, over the changes given.
  private func single(_ overrides: [String] = []) throws -> TinyRun.Record {
    ComputeThreads.use(1)
    let recorder = TinyRun.Recorder()
    let trainer = try SingleProcessTrainer(
      RunContext(TinyRun.configuration(overrides)), observer: recorder)
    try trainer.run()
    recorder.take(trainer.model)
    return recorder.record
  }

  @Test func `a single process in bf16 trains nearly as in fp32`() throws {
    let full = try single()
    let half = try single(["precision=bf16"])
    #expect(half.losses.count == full.losses.count)
    for (a, b) in zip(full.losses, half.losses) { #expect(abs(a - b) < 0.02 * a) }
    // Had nothing been rounded, they would agree to the bit.
    #expect(zip(full.losses, half.losses).contains { abs($0 - $1) > 2e-4 })
  }

  @Test(arguments: [(1, 1), (3, 2)])
  func `a cluster in bf16 follows a single process in bf16`(workers: Int, fcNodes: Int) throws {
    let alone = try single(["precision=bf16"])
    let cluster = try TinyRun.train(
      TinyRun.configuration(["precision=bf16"], workers: workers, fcNodes: fcNodes))
    #expect(cluster.losses.count == alone.losses.count)
    // Sums in another order may round to the other bf16: 2^-8 of a single value.
    for (a, b) in zip(alone.losses, cluster.losses) { #expect(abs(a - b) < 5e-3 * a) }
    for (a, b) in zip(alone.evaluations, cluster.evaluations) {
      #expect(abs(a.loss - b.loss) < 5e-3 * a.loss)
    }
  }

  @Test func `weights and what is stored keep all their bits`() throws {
    let record = try single(["precision=bf16"])
    // In bf16 the lower 16 bits would be 0.
    for (name, values) in record.parameters {
      #expect(values.contains { $0.bitPattern & 0xFFFF != 0 }, "\(name)")
    }
  }
}

@Suite(.timeLimit(.minutes(30)), .enabled(if: !KernelLibrary.precisions.contains(.bf16)))
struct WithoutBFloat16Tests {
  @Test func `a configuration in bf16 says what the CPU lacks and what to set`() throws {
    let context = try RunContext(TinyRun.configuration(["precision=bf16"]))
    let error = #expect(throws: ConfigurationError.self) { try context.checkPrecision() }
    #expect(error?.keyPath == "precision")
    #expect("\(error.map { "\($0)" } ?? "")".contains("set precision: \"fp32\""))
  }
}
