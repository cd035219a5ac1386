/// How a cluster's run differs from the same run in a single process.
///
/// All differences are relative: the largest difference of any two elements of a tensor over the
/// largest magnitude in the single process's tensor. Before each step the two have the same
/// parameters, up to what their optimizers make of the same gradients, so that differences do not
/// add up over the steps.
package struct VerificationReport: Sendable {
  /// The largest difference of some steps, and where it was.
  package struct Deviation: Hashable, Sendable {
    package var relative = 0.0
    package var step: UInt64 = 0

    /// Takes over a larger difference.
    mutating func note(_ relative: Double, at step: UInt64) {
      if relative > self.relative { (self.relative, self.step) = (relative, step) }
    }
  }

  /// One parameter.
  package struct Tensor: Hashable, Sendable {
    /// "conv1 weight".
    package let name: String
    /// Elements.
    package let count: Int
    /// Of the gradients over all steps.
    package var gradient = Deviation()
    /// Of the values after the last step.
    package var parameter = 0.0
  }

  /// A difference that is larger than the tolerance.
  package struct Finding: Hashable, Sendable, CustomStringConvertible {
    package enum Quantity: String, Hashable, Sendable { case loss, gradient, parameter }

    package let quantity: Quantity
    /// "conv1 weight"; empty for the loss.
    package let tensor: String
    package let step: UInt64
    package let relative: Double

    /// "gradient of conv1 weight at step 3"; a parameter is that after the last step.
    package var description: String {
      switch quantity {
      case .loss: "loss at step \(step)"
      case .gradient: "gradient of \(tensor) at step \(step)"
      case .parameter: "\(tensor) after step \(step)"
      }
    }
  }

  package let steps: Int
  package let tolerance: Double
  package internal(set) var loss = Deviation()
  /// In the order of the network.
  package internal(set) var tensors: [Tensor]
  /// Findings in the order in which a step makes them: the loss, then gradients from the last
  /// layer to the first, step by step; the parameters at the end. At most one a tensor and
  /// quantity.
  package internal(set) var findings: [Finding] = []

  /// Steps whose differences are left out, because rounding alone makes as large ones there: a
  /// ReLU or a maximum that falls the other way in the last bit.
  package internal(set) var excused: [Deviation] = []

  /// The difference that came first, from which the others may follow.
  package var firstFinding: Finding? { findings.first }

  /// Takes over the difference of a step's losses.
  mutating func noteLoss(_ relative: Double, at step: UInt64) {
    loss.note(relative, at: step)
    guard relative > tolerance, !findings.contains(where: { $0.quantity == .loss }) else { return }
    // A step makes its loss before its gradients.
    let place = findings.firstIndex { $0.step >= step } ?? findings.count
    findings.insert(.init(quantity: .loss, tensor: "", step: step, relative: relative), at: place)
  }
}
