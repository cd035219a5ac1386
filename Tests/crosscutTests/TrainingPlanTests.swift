import Configuration
import Foundation
import Testing
import Training

@testable import crosscut

@Suite struct TrainingPlanTests {
  @Test func `the plan has steps, rates, shares and slices`() throws {
    let configuration = try RunConfiguration.parse(
      text: """
        {
          network: { name: 'small', input: [1, 6, 6], layers: [
            { type: 'conv', channels: 4, kernel: 3 }, 'relu', { type: 'fc', units: 10 }, 'relu',
            { type: 'fc', units: 5 } ] },
          dataset: { kind: 'synthetic', examples: 100, testExamples: 20 },
          globalBatch: 20, epochs: 8,
          optimizer: {
            learningRate: 0.1, biasLearningRateFactor: 2, biasWeightDecay: false, clipValue: 0.5,
            decay: { kind: 'steps', atEpochs: [7], warmupSteps: 2 },
            scaling: { rule: 'linear', referenceBatch: 10 },
          },
          evaluation: { earlyStop: 4 },
          cluster: { workers: 3, fcNodes: 2 },
        }
        """, source: "small.json5")
    let context = try RunContext(configuration)
    let text = try TrainingPlan(context, OpenDataset(context), runDirectory: "runs/x").text
    let parts = text.components(separatedBy: "\n\n")
    #expect(parts[0].hasPrefix("layer"))
    let data = "data\n  synthetic: 100 synthetic examples, normalization none\n"
    #expect(parts.contains { $0.hasPrefix(data) })
    #expect(
      parts.contains(
        """
        steps
          40 steps of 20 examples, 5.0 an epoch, 8.00 epochs; seed 1
          8 evaluations of 1 batch, one every 5 steps
          ends early after 4 evaluations without a lower error
        """))
    #expect(
      parts.contains(
        """
        learning rate
          steps; momentum 0.9, weight decay 0.0005 (not of biases), rule paper-2012
          linear scaling from a batch of 10: conv layers step on 20, fc layers on 20 examples
          gradients are cut to +-0.5
          rises over the first 2 steps; times 0.1 at step 35
          step  epoch  conv weights  fc weights  conv biases  fc biases
             0   0.00       1.0e-01     1.0e-01      2.0e-01    2.0e-01
             2   0.40       2.0e-01     2.0e-01      4.0e-01    4.0e-01
             5   1.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            10   2.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            15   3.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            20   4.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            25   5.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            30   6.00       2.0e-01     2.0e-01      4.0e-01    4.0e-01
            35   7.00       2.0e-02     2.0e-02      4.0e-02    4.0e-02
            39   7.80       2.0e-02     2.0e-02      4.0e-02    4.0e-02
        """))
    #expect(
      parts.contains(
        """
        workers
          worker 0: 7 examples a step, positions 0 to 6
          worker 1: 7 examples a step, positions 7 to 13
          worker 2: 6 examples a step, positions 14 to 19
          each a replica of the conv layers: 160 bytes of gradients and of parameters a step, in 1 chunk
        """))
    #expect(
      parts.contains(
        """
        fc nodes
          2 nodes, each with 32 of the 64 features
          layer  inputs  outputs  form            each node computes
          fc2    64      10       scatter-output  10 outputs of 32 inputs
          fc3    10      5        scatter-output  5 outputs of 5 inputs
        """))
    #expect(
      parts.contains(
        """
        schedule
          gathered: the batch goes through the fc nodes as one
          on the wire: activations fp32, gradients fp32, parameters fp32
        """))
  }

  /// `steps` replaces `epochs`, but epochs of the rate stay parts of the run.
  @Test(arguments: [
    ("steps: 450000", "rises over the first 225,000 steps; times 0.1 at steps 90,000, 405,000"),
    ("epochs: 10", "rises over the first 25 steps; times 0.1 at steps 10, 45"),
    (
      "steps: 4",
      "rises to the end of the run, which is shorter than its warm-up; times 0.1 at step 1"
    ),
  ])
  func `milestones in epochs are shown in steps`(length: String, expected: String) throws {
    let configuration = try RunConfiguration.parse(
      text: """
        {
          network: { input: [1, 6, 6], layers: [{ type: 'fc', units: 5 }] },
          dataset: { kind: 'synthetic', examples: 100 }, globalBatch: 20, \(length),
          optimizer: { decay: {
            kind: 'steps', atEpochs: [2, 9], warmupEpochs: 5, warmupSteps: 5 } },
        }
        """, source: "small.json5")
    let context = try RunContext(configuration)
    let text = try TrainingPlan(context, OpenDataset(context), runDirectory: "runs/x").text
    #expect(text.contains("\n  \(expected)\n"), "\(text)")
  }

  @Test func `what is not as usual is in the plan`() throws {
    let configuration = try RunConfiguration.parse(
      text: """
        {
          network: { name: 'small', input: [1, 6, 6], layers: [
            { type: 'conv', channels: 4, kernel: 3 }, 'relu', { type: 'fc', units: 10 }, 'relu',
            { type: 'fc', units: 5 } ] },
          dataset: { kind: 'synthetic', examples: 100, testExamples: 20 },
          globalBatch: 20, epochs: 8, cluster: { workers: 2, fcNodes: 2 },
          schedule: { kind: 'scattered', subBatches: 4, fcUpdate: 'per-sub-batch' },
          wire: { gradients: 'bf16' }, checkpoint: { everySteps: 0, everyMinutes: 5 },
        }
        """, source: "small.json5")
    let context = try RunContext(configuration)
    let text = try TrainingPlan(context, OpenDataset(context), runDirectory: "runs/x").text
    for line in [
      "  scattered: 4 sub-batches; fc weights step once a sub-batch\n",
      "  on the wire: activations fp32, gradients bf16, parameters fp32\n",
      "a checkpoint every 5.0 minutes, the newest",
    ] {
      #expect(text.contains(line), "\(line) is not in\n\(text)")
    }
  }
}
