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
  /// The single process's gradients of one step, by the parameters' keys.
  private struct ReferenceStep {
    let number: UInt64
    let gradients: [UnsafeMutablePointer<Float>]
    let magnitudes: [Float]
    /// Largest differences found so far.
    var differences: [Float]
    /// Elements that the cluster has not shown yet.
    var remaining: Int
  }

  private let entries: [ParameterTable.Entry]
  private let elements: Int
  private let condition = Condition()
  /// The step that is being compared.
  private var current: ReferenceStep?
  /// Steps that have been compared.
  private var compared: UInt64 = 0
  private var model: ModelTensors?
  private var isCancelled = false
  private var losses: (reference: [Double], cluster: [Double]) = ([], [])
  private var report: VerificationReport
  /// By quantity and key: only the first is kept.
  private var found: Set<String> = []

  init(_ network: NetworkPlan, steps: Int, tolerance: Double) {
    entries = network.parameters.entries
    elements = network.parameters.count
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

  /// Makes a step of the single process the one to compare with.
  ///
  /// - Parameter gradients: one a parameter; they belong to the comparison until
  ///   `waitUntilCompared` returns.
  func publish(
    step: UInt64, loss: Double,
    gradients: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)]
  ) {
    let ordered = gradients.sorted { $0.entry.key < $1.entry.key }
    let next = ReferenceStep(
      number: step, gradients: ordered.map(\.values),
      magnitudes: ordered.map { MaximumNorm.of($0.values, count: $0.entry.shape.count) },
      differences: ordered.map { _ in 0 }, remaining: elements)
    condition.locked {
      losses.reference.append(loss)
      current = next
      condition.wakeAll()
    }
  }

  /// Waits until the cluster has shown all its gradients of the published step, which then stand
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
      return current.differences.enumerated().reduce(into: [:]) { suspects, difference in
        let relative = MaximumNorm.relative(
          difference.element, to: current.magnitudes[difference.offset])
        if relative > report.tolerance { suspects[difference.offset] = difference.element }
      }
    }
  }

  /// Counts the differences of the published step.
  ///
  /// - Parameter excused: keys of differences that are not to be held against the cluster.
  func conclude(excusing excused: Set<Int>) {
    condition.locked {
      guard let step = current else { return }
      var largest = VerificationReport.Deviation()
      for key in entries.indices.reversed() {
        let relative = MaximumNorm.relative(step.differences[key], to: step.magnitudes[key])
        if excused.contains(key) {
          largest.note(relative, at: step.number)
        } else {
          report.tensors[key].gradient.note(relative, at: step.number)
          note(.gradient, key, step.number, relative)
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
      guard losses.cluster.count == report.steps, compared == UInt64(report.steps) else {
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
    step: UInt64, of entry: ParameterTable.Entry, region: ParameterRegion,
    values: UnsafePointer<Float>
  ) {
    let target: UnsafeMutablePointer<Float>? = condition.locked {
      // A step that is run again is compared the first time.
      while compared <= step, current?.number != step, !isCancelled { condition.wait() }
      return current?.number == step ? current?.gradients[entry.key] : nil
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
      guard var step = current else { return }
      step.differences[entry.key] = max(step.differences[entry.key], difference)
      step.remaining -= region.count
      current = step
      if step.remaining == 0 { condition.wakeAll() }
    }
  }
}
