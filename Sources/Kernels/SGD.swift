/// Stochastic gradient descent with momentum and weight decay: one step's constants for one
/// parameter.
///
/// | convention | velocity | weight |
/// |---|---|---|
/// | `paper-2012` | v <- m v - wd lr w - lr g | w <- w + v |
/// | `pytorch` | v <- m v + (g + wd w) | w <- w - lr v |
///
/// The two agree while the learning rate stands still and part when it changes: the 2012 paper
/// (and Caffe) keep the rate inside the velocity, PyTorch outside (papers.md 1.4). The sign of the
/// velocity differs too, so a checkpoint must say which one it holds.
package struct SGD: Sendable {
  /// Whose update rule.
  package enum Convention: String, Sendable, CaseIterable {
    /// Krizhevsky et al. 2012, section 5; cuda-convnet2 and Caffe.
    case paper2012 = "paper-2012"
    /// `torch.optim.SGD` without dampening and Nesterov.
    case pytorch
  }

  /// lr of the step.
  package let learningRate: Float
  /// m; 0 for plain gradient descent.
  package let momentum: Float
  /// wd; 0 for no decay.
  package let weightDecay: Float
  package let convention: Convention

  /// Takes the constants as they are; the configuration has checked them.
  package init(
    learningRate: Float, momentum: Float, weightDecay: Float, convention: Convention
  ) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.convention = convention
  }

  /// Updates `count` elements: five streams of memory traffic, nothing else.
  ///
  /// `newWeight` and `newVelocity` may be `weight` and `velocity` themselves (in place) or must
  /// not overlap any input.
  package func update(
    count: Int, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    velocity: UnsafePointer<Float>, newWeight: UnsafeMutablePointer<Float>,
    newVelocity: UnsafeMutablePointer<Float>
  ) {
    let m = momentum
    let lr = learningRate
    let wd = weightDecay
    // Vectors are loaded before they are stored, so that no overlap check stands between the
    // in-place case and vector instructions.
    switch convention {
    case .paper2012:
      let decay = wd * lr
      Self.sweep(count, gradient, weight, velocity, newWeight, newVelocity) { g, w, v in
        let next = m * v - decay * w - lr * g
        return (w + next, next)
      } scalar: { g, w, v in
        let next = m * v - decay * w - lr * g
        return (w + next, next)
      }
    case .pytorch:
      Self.sweep(count, gradient, weight, velocity, newWeight, newVelocity) { g, w, v in
        let next = m * v + (g + wd * w)
        return (w - lr * next, next)
      } scalar: { g, w, v in
        let next = m * v + (g + wd * w)
        return (w - lr * next, next)
      }
    }
  }

  private typealias Vector = SIMD8<Float>

  @inline(__always)
  private static func sweep(
    _ count: Int, _ gradient: UnsafePointer<Float>, _ weight: UnsafePointer<Float>,
    _ velocity: UnsafePointer<Float>, _ newWeight: UnsafeMutablePointer<Float>,
    _ newVelocity: UnsafeMutablePointer<Float>,
    vector: (Vector, Vector, Vector) -> (weight: Vector, velocity: Vector),
    scalar: (Float, Float, Float) -> (weight: Float, velocity: Float)
  ) {
    let lanes = Vector.scalarCount
    var index = 0
    while index + lanes <= count {
      let next = vector(
        Vector(loading: gradient + index), Vector(loading: weight + index),
        Vector(loading: velocity + index))
      next.weight.store(to: newWeight + index)
      next.velocity.store(to: newVelocity + index)
      index += lanes
    }
    while index < count {
      let next = scalar(gradient[index], weight[index], velocity[index])
      newWeight[index] = next.weight
      newVelocity[index] = next.velocity
      index += 1
    }
  }
}
