import Messages
import Network
import Tensors

@testable import Coordination

/// A network small enough to simulate thousands of runs, in 32-bit integers that wrap.
///
/// Integer sums do not depend on their order, so whatever the shares, deaths and joins, the
/// parameters must come out *equal*, not merely close; and every value depends on all earlier
/// parameters, so that a step lost, doubled or computed with the wrong version shows.
struct ToyModel: Sendable {
  let columns: Int
  let chunkSizes: [Int]
  let globalBatch: Int

  /// Stands in a gradient for what is not finite; no sum comes to it in the runs here.
  static let notFinite = Int32.min + 4711

  static func mix(_ values: Int32...) -> Int32 {
    var hash: UInt32 = 0x9E37_79B9
    for value in values {
      hash = (hash ^ UInt32(bitPattern: value)) &* 0x85EB_CA6B
      hash ^= hash >> 13
    }
    return Int32(bitPattern: hash)
  }

  func initialChunk(_ chunk: Int) -> [Int32] {
    (0..<chunkSizes[chunk]).map { Self.mix(1, Int32(chunk), Int32($0)) }
  }

  func initialWeight(_ column: Int) -> Int32 { Self.mix(2, Int32(column)) }

  /// Features `[rows][columns]` of a share, from all convolutional parameters.
  func features(isTraining: Bool, firstPosition: UInt64, rows: Int, chunks: [[Int32]]) -> [[Int32]]
  {
    var digest: Int32 = 7
    for chunk in chunks { for value in chunk { digest = Self.mix(digest, value) } }
    return (0..<rows).map { row in
      let example = Int32(truncatingIfNeeded: firstPosition + UInt64(row)) &* (isTraining ? 1 : -1)
      return (0..<columns).map { Self.mix(example, Int32($0), digest) }
    }
  }

  func partialLogits(_ features: [[Int32]], _ weights: [Int32]) -> [Int32] {
    features.map { row in zip(row, weights).reduce(0) { $0 &+ $1.0 &* $1.1 } }
  }

  func featureGradient(_ logits: [Int32], _ weights: [Int32]) -> [[Int32]] {
    logits.map { logit in weights.map { Self.mix(logit, $0) } }
  }

  func weightGradient(_ features: [[Int32]], _ logits: [Int32], column: Int) -> Int32 {
    zip(features, logits).reduce(0) { $0 &+ $1.0[column] &* $1.1 }
  }

  /// Sum over the rows of a share; `gradients` are whole rows of the features' gradient.
  func chunkGradient(_ chunk: Int, _ gradients: [[Int32]]) -> [Int32] {
    (0..<chunkSizes[chunk]).map { index in
      gradients.reduce(Int32(0)) { sum, row in
        sum &+ row.reduce(Int32(index)) { Self.mix($0, $1, Int32(chunk)) }
      }
    }
  }

  /// - Parameter rate: odd, the learning rate.
  func step(_ value: Int32, _ gradient: Int32, rate: Int32) -> Int32 {
    value &* 3 &- gradient &* rate
  }

  /// The run's first `steps` steps in one loop: what every simulated cluster must reproduce.
  ///
  /// - Parameters:
  ///   - changes: what an operator has made of the learning rate.
  ///   - skipped: those of them that are passed over.
  func reference(
    _ plan: RunPlan, _ program: TurnProgram, _ changes: [RateChange], steps: UInt64,
    skipped: Set<UInt64> = []
  ) -> (chunks: [[Int32]], weights: [Int32]) {
    var rates = ToyRates(changes: changes)
    var chunks = chunkSizes.indices.map(initialChunk)
    var weights = (0..<columns).map(initialWeight)
    for turn in 0..<program.count {
      if case .evaluation(_, let batch, _) = program[turn], batch + 1 == program.evaluationBatches {
        rates.reductions += 1
      }
      guard case .training(let step) = program[turn], step < steps, !skipped.contains(step)
      else { continue }
      let rate = rates.rate(at: step)
      let features = features(
        isTraining: true, firstPosition: plan.firstPosition(of: program[turn]), rows: globalBatch,
        chunks: chunks)
      var gradients: [[Int32]] = []
      let lanes =
        plan.schedule.updatesEachSubBatch ? plan.subBatches.ranges : [0..<globalBatch]
      for rows in lanes {
        let part = Array(features[rows])
        let logits = partialLogits(part, weights)
        gradients += featureGradient(logits, weights)
        weights = weights.indices.map { column in
          self.step(
            weights[column], weightGradient(part, logits, column: column), rate: rate)
        }
      }
      for chunk in chunks.indices {
        let gradient = chunkGradient(chunk, gradients)
        for index in chunks[chunk].indices {
          chunks[chunk][index] = self.step(
            chunks[chunk][index], gradient[index], rate: rate)
        }
      }
    }
    return (chunks, weights)
  }
}

/// The parameters after each step of a run in which no step is passed over, in one loop.
struct Trajectory {
  private var versions: [(chunks: [[Int32]], weights: [Int32])] = []

  init(
    _ model: ToyModel, _ plan: RunPlan, _ program: TurnProgram, _ changes: [RateChange] = []
  ) {
    versions = (0...program.totalSteps).map { model.reference(plan, program, changes, steps: $0) }
  }

  subscript(steps: UInt64) -> (chunks: [[Int32]], weights: [Int32]) {
    versions[min(Int(steps), versions.count - 1)]
  }
}

/// Integers to frames and back.
func frame(_ values: [Int32]) -> Frame { Frame(copying: values) }
func values(_ frames: [Frame]) -> [Int32] { frames.flatMap { Array($0.int32s) } }

/// `[rows][columns]` from row-major values.
func matrix(_ values: [Int32], columns: Int) -> [[Int32]] {
  guard columns > 0 else { return [] }
  return stride(from: 0, to: values.count, by: columns).map { Array(values[$0..<$0 + columns]) }
}
