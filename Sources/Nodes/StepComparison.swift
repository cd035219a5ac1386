import Datasets
import Network
import Tensors
import Training

/// Compares gradients of a cluster with those of a single process, step by step as they come.
///
/// The single process is kept at most `window` steps ahead, and a cluster that is ahead of it
/// waits, so that memory holds the gradients of two steps, however many are compared.
///
/// `@unchecked Sendable`: everything that changes is used under `condition`'s lock, but for the
/// gradients of a step, which are written by the reference's thread alone before `publish` and
/// only read until all of the step is compared.
final class StepComparison: @unchecked Sendable {
  /// The single process's gradients of one step, by the parameters' keys.
  private final class ReferenceStep {
    let gradients: [AlignedBuffer]
    var magnitudes: [Float]
    /// Largest differences found so far.
    var differences: [Float]
    /// Elements that the cluster has not shown yet.
    var remaining = 0

    init(_ entries: [ParameterTable.Entry]) {
      gradients = entries.map { AlignedBuffer(floats: $0.shape.count) }
      magnitudes = Array(repeating: 0, count: entries.count)
      differences = magnitudes
    }
  }

  /// Steps of the single process that wait to be compared. An FC node applies the gradients of a
  /// step while others are at the next one, so one is not enough.
  private static let window = 2

  private let entries: [ParameterTable.Entry]
  private let elements: Int
  private let condition = Condition()
  private var spare: [ReferenceStep]
  /// What the reference's thread writes.
  private var filling: ReferenceStep?
  private var waiting: [UInt64: ReferenceStep] = [:]
  private var finished: UInt64?
  private var model: ModelTensors?
  private var isCancelled = false
  private var losses: (reference: [Double], cluster: [Double]) = ([], [])
  private var report: VerificationReport
  /// By key and quantity: only the first is kept.
  private var found: Set<String> = []

  init(_ network: NetworkPlan, steps: Int, tolerance: Double) {
    let entries = network.parameters.entries
    self.entries = entries
    elements = network.parameters.count
    spare = (0..<Self.window).map { _ in ReferenceStep(entries) }
    report = VerificationReport(
      steps: steps, tolerance: tolerance,
      tensors: entries.map { .init(name: Self.name($0), count: $0.shape.count) })
  }

  private static func name(_ entry: ParameterTable.Entry) -> String {
    "\(entry.layerName) \(entry.kind.rawValue)"
  }

  /// Lets everybody go: one of the two has failed, or the end is reached.
  func cancel() {
    condition.locked {
      isCancelled = true
      condition.wakeAll()
    }
  }

  // MARK: The reference's thread

  /// Waits until there is room for another step.
  ///
  /// - Returns: false if nobody wants it any more.
  func makeRoom() -> Bool {
    condition.locked {
      while spare.isEmpty, !isCancelled { condition.wait() }
      guard !isCancelled else { return false }
      filling = spare.removeLast()
      return true
    }
  }

  /// Makes the recorded step the one to compare with.
  func publish(step: UInt64, loss: Double) {
    condition.locked {
      guard let filling else { return }
      losses.reference.append(loss)
      filling.remaining = elements
      for key in entries.indices { filling.differences[key] = 0 }
      waiting[step] = filling
      self.filling = nil
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

  private func record(_ entry: ParameterTable.Entry, _ values: UnsafePointer<Float>) {
    guard let filling = condition.locked({ filling }) else { return }
    let count = entry.shape.count
    filling.gradients[entry.key].floatPointer.update(from: values, count: count)
    filling.magnitudes[entry.key] = MaximumNorm.of(values, count: count)
  }

  // MARK: The cluster's threads

  fileprivate func compare(
    _ step: UInt64, _ entry: ParameterTable.Entry, _ region: ParameterRegion,
    _ values: UnsafePointer<Float>
  ) {
    let found: ReferenceStep? = condition.locked {
      // A step that was run again is compared the first time.
      if let finished, step <= finished { return nil }
      while waiting[step] == nil, !isCancelled { condition.wait() }
      return waiting[step]
    }
    guard let found else { return }
    let reference = UnsafePointer(found.gradients[entry.key].floatPointer)
    var difference: Float = 0
    for run in region.runs {
      difference = max(
        difference,
        MaximumNorm.ofDifference(
          values + run.offset, reference + run.elements.lowerBound, count: run.elements.count))
    }
    condition.locked {
      found.differences[entry.key] = max(found.differences[entry.key], difference)
      found.remaining -= region.count
      guard found.remaining == 0 else { return }
      note(found, step)
      waiting[step] = nil
      finished = step
      spare.append(found)
      condition.wakeAll()
    }
  }

  func compare(loss: Double, at step: UInt64) {
    condition.locked { losses.cluster.append(loss) }
  }

  /// Compares the cluster's final parameters with the lent model.
  func compare(_ model: ModelTensors) {
    condition.locked {
      while self.model == nil, !isCancelled { condition.wait() }
      guard let reference = self.model else { return }
      let step = UInt64(max(report.steps, 1) - 1)
      for (key, entry) in entries.enumerated() {
        let relative = Self.relative(
          model.tensors.first { $0.name == entry.name },
          to: reference.tensors.first { $0.name == entry.name })
        report.tensors[key].parameter = relative
        note(.parameter, key, step, relative)
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

  private func note(_ step: ReferenceStep, _ number: UInt64) {
    for key in entries.indices.reversed() {
      let relative = MaximumNorm.relative(step.differences[key], to: step.magnitudes[key])
      report.tensors[key].gradient.note(relative, at: number)
      note(.gradient, key, number, relative)
    }
  }

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
      guard losses.cluster.count == report.steps, losses.reference.count == report.steps,
        finished == UInt64(report.steps - 1)
      else { return nil }
      var report = report
      for (step, (loss, reference)) in zip(losses.cluster, losses.reference).enumerated() {
        let relative = MaximumNorm.relative(
          Float(loss - reference), to: Float(reference.magnitude)
        ).magnitude
        report.loss.note(relative, at: UInt64(step))
        guard relative > report.tolerance,
          !report.findings.contains(where: { $0.quantity == .loss })
        else { continue }
        // Before the step's gradients.
        let place = report.findings.firstIndex { $0.step >= UInt64(step) } ?? report.findings.count
        report.findings.insert(
          .init(quantity: .loss, tensor: "", step: UInt64(step), relative: relative), at: place)
      }
      return report
    }
  }

  // MARK: Probes

  /// What the single process shows its gradients to.
  var referenceProbe: any StepProbe { Recorder(comparison: self) }
  /// What the cluster's nodes show theirs to.
  var clusterProbe: any StepProbe { Comparer(comparison: self) }

  private struct Recorder: StepProbe {
    let comparison: StepComparison

    func gradient(
      step: UInt64, of entry: ParameterTable.Entry, region: ParameterRegion,
      values: UnsafePointer<Float>
    ) { comparison.record(entry, values) }
  }

  private struct Comparer: StepProbe {
    let comparison: StepComparison

    func gradient(
      step: UInt64, of entry: ParameterTable.Entry, region: ParameterRegion,
      values: UnsafePointer<Float>
    ) { comparison.compare(step, entry, region, values) }
  }
}
