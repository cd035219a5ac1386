import Datasets
import Network
import Tensors
import Training

/// Compares gradients of a cluster with those of a single process, step by step as they come.
///
/// Each has the other wait: the single process until all of a step is compared, the cluster until
/// the single process has reached its step. What is compared is then overwritten with the
/// cluster's gradient, so that both go on from the same parameters: else a single ReLU or maximum
/// that falls the other way in the last bit makes the runs part ever further (a few steps of the
/// preset fashion are enough), and no tolerance tells that from an error.
///
/// `@unchecked Sendable`: everything that changes is used under `condition`'s lock, but for the
/// single process's gradients. Those its own thread touches before `publish` and after
/// `waitUntilCompared`, and in between each element the one thread that compares it.
final class StepComparison: @unchecked Sendable {
  /// The single process's gradients of one part of a step, by the parameters' keys.
  private struct ReferencePart {
    let step: UInt64
    /// Counts the parts of all steps.
    let number: UInt64
    let gradients: [Int: UnsafeMutablePointer<Float>]
    let magnitudes: [Int: Float]
    /// Largest differences found so far.
    var differences: [Int: Float] = [:]
    /// Elements that the cluster has not shown yet.
    var remaining: Int
  }

  private let entries: [ParameterTable.Entry]
  /// Parts of a step, as the single process has them.
  private let parts: Int
  private let condition = Condition()
  /// The part of a step that is being compared.
  private var current: ReferencePart?
  /// Parts of steps that have been compared.
  private var compared: UInt64 = 0
  private var model: ModelTensors?
  private var isCancelled = false
  private var losses: (reference: [Double], cluster: [Double]) = ([], [])
  private var report: VerificationReport
  /// By quantity and key: only the first is kept.
  private var found: Set<String> = []

  /// - Parameter parts: of a step (`SingleProcessTrainer.parts`).
  init(_ network: NetworkPlan, steps: Int, parts: Int, tolerance: Double) {
    entries = network.parameters.entries
    self.parts = parts
    report = VerificationReport(
      steps: steps, tolerance: tolerance,
      tensors: entries.map { entry in
        .init(name: "\(entry.layerName) \(entry.kind.rawValue)", count: entry.shape.count)
      })
  }

  /// Lets everybody go: one of the two has failed, or the end is reached.
  func cancel() {
    condition.locked {
      isCancelled = true
      condition.wakeAll()
    }
  }

  // MARK: The single process's thread

  /// Makes a part of a step of the single process the one to compare with.
  ///
  /// - Parameters:
  ///   - loss: of the whole step, if this is its last part.
  ///   - gradients: one a parameter of the part; they belong to the comparison until
  ///     `waitUntilCompared` returns.
  func publish(
    step: UInt64, part: Int, loss: Double,
    gradients: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)]
  ) {
    func byKey<Value>(_ value: (ParameterTable.Entry, UnsafeMutablePointer<Float>) -> Value)
      -> [Int: Value]
    {
      gradients.reduce(into: [:]) { $0[$1.entry.key] = value($1.entry, $1.values) }
    }
    let next = ReferencePart(
      step: step, number: step * UInt64(parts) + UInt64(part), gradients: byKey { $1 },
      magnitudes: byKey { MaximumNorm.of($1, count: $0.shape.count) },
      remaining: gradients.reduce(0) { $0 + $1.entry.shape.count })
    condition.locked {
      if part == parts - 1 { losses.reference.append(loss) }
      current = next
      condition.wakeAll()
    }
  }

  /// Waits until the cluster has shown all its gradients of the published part, which then stand
  /// in place of the single process's.
  ///
  /// - Returns: by key, the differences beyond the tolerance that are not to be counted before it
  ///   is known what rounding does; `nil` if the gradients will never come.
  func waitUntilCompared() -> [Int: Float]? {
    condition.locked {
      while let current, current.remaining > 0, !isCancelled { condition.wait() }
      guard let current, current.remaining == 0 else { return nil }
      // Once something is wrong, nothing is excused any more.
      guard report.findings.isEmpty else { return [:] }
      return current.differences.filter { key, difference in
        MaximumNorm.relative(difference, to: current.magnitudes[key] ?? 0) > report.tolerance
      }
    }
  }

  /// Counts the differences of the published part.
  ///
  /// - Parameter excused: keys of differences that are not to be held against the cluster.
  func conclude(excusing excused: Set<Int>) {
    condition.locked {
      guard let part = current else { return }
      var largest = VerificationReport.Deviation()
      for key in part.magnitudes.keys.sorted(by: >) {
        let relative = MaximumNorm.relative(
          part.differences[key] ?? 0, to: part.magnitudes[key] ?? 0)
        if excused.contains(key) {
          largest.note(relative, at: part.step)
        } else {
          report.tensors[key].gradient.note(relative, at: part.step)
          note(.gradient, key, part.step, relative)
        }
      }
      if !excused.isEmpty { report.excused.append(largest) }
      compared += 1
      current = nil
      condition.wakeAll()
    }
  }

  /// Lends the model until it is compared.
  func lend(_ model: ModelTensors) {
    condition.locked {
      self.model = model
      condition.wakeAll()
      while self.model != nil, !isCancelled { condition.wait() }
      self.model = nil
    }
  }

  // MARK: The cluster's threads

  func compare(loss: Double, at step: UInt64) {
    condition.locked { losses.cluster.append(loss) }
  }

  /// Compares the cluster's final parameters with the lent model.
  func compare(_ model: ModelTensors) {
    condition.locked {
      while self.model == nil, !isCancelled { condition.wait() }
      guard let reference = self.model else { return }
      for (key, entry) in entries.enumerated() {
        let relative = Self.relative(
          model.tensors.first { $0.name == entry.name },
          to: reference.tensors.first { $0.name == entry.name })
        report.tensors[key].parameter = relative
        note(.parameter, key, UInt64(report.steps - 1), relative)
      }
      self.model = nil
      condition.wakeAll()
    }
  }

  private static func relative(
    _ tensor: ModelTensors.Tensor?, to reference: ModelTensors.Tensor?
  ) -> Double {
    guard let values = tensor?.values, let references = reference?.values,
      let a = values.baseAddress, let b = references.baseAddress, values.count == references.count
    else { return .infinity }
    return MaximumNorm.relative(
      MaximumNorm.ofDifference(a, b, count: values.count),
      to: MaximumNorm.of(b, count: references.count))
  }

  // MARK: Findings

  private func note(
    _ quantity: VerificationReport.Finding.Quantity, _ key: Int, _ step: UInt64, _ relative: Double
  ) {
    guard relative > report.tolerance, found.insert("\(quantity) \(key)").inserted else { return }
    report.findings.append(
      .init(quantity: quantity, tensor: report.tensors[key].name, step: step, relative: relative))
  }

  /// What was found, once both runs are over.
  ///
  /// - Returns: `nil` if not everything was compared.
  func result() -> VerificationReport? {
    condition.locked {
      guard losses.cluster.count == report.steps, compared == UInt64(report.steps * parts)
      else {
        return nil
      }
      var report = report
      for (step, (loss, reference)) in zip(losses.cluster, losses.reference).enumerated() {
        let relative = MaximumNorm.relative(
          Float((loss - reference).magnitude), to: Float(reference.magnitude))
        report.noteLoss(relative, at: UInt64(step))
      }
      return report
    }
  }
}

extension StepComparison: StepProbe {
  /// Compares a piece of the cluster's gradients, and puts it in place of the single process's.
  func gradient(
    step: UInt64, subBatch: Int?, of entry: ParameterTable.Entry, region: ParameterRegion,
    values: UnsafePointer<Float>
  ) {
    let number = step * UInt64(parts) + UInt64(subBatch ?? parts - 1)
    let target: UnsafeMutablePointer<Float>? = condition.locked {
      // What is run again is compared the first time.
      while compared <= number, current?.number != number, !isCancelled { condition.wait() }
      return current?.number == number ? current?.gradients[entry.key] : nil
    }
    guard let target else { return }
    var difference: Float = 0
    for (elements, offset) in region.runs {
      let reference = target + elements.lowerBound
      difference = max(
        difference,
        MaximumNorm.ofDifference(values + offset, reference, count: elements.count))
      reference.update(from: values + offset, count: elements.count)
    }
    condition.locked {
      guard var part = current else { return }
      part.differences[entry.key] = max(part.differences[entry.key] ?? 0, difference)
      part.remaining -= region.count
      current = part
      if part.remaining == 0 { condition.wakeAll() }
    }
  }
}
