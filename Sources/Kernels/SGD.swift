/// Stochastic gradient descent with momentum and weight decay: one step's constants for one
/// parameter.
///
/// | convention | velocity | weight |
/// |---|---|---|
/// | `paper-2012` | v <- m v - wd lr w - lr g | w <- w + v |
/// | `pytorch` | v <- m v + (g + wd w) | w <- w - lr v |
///
/// The two agree while the learning rate stands still and part when it changes: the 2012 paper
/// (and Caffe) keep the rate inside the velocity, PyTorch outside (docs/deviations.md). The sign of the
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
  /// Whose rule.
  package let convention: Convention
  /// Elements of the gradient are cut to +- this first; infinity for none. Element by element, so
  /// that whoever owns a piece of a parameter can do it alone.
  package let clip: Float

  /// Takes the constants as they are; the configuration has checked them.
  package init(
    learningRate: Float, momentum: Float, weightDecay: Float, convention: Convention,
    clip: Float = .infinity
  ) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.convention = convention
    self.clip = clip
  }

  /// Updates `count` elements: five streams of memory traffic, nothing else, on the threads of the
  /// caller's team.
  ///
  /// `newWeight` and `newVelocity` may be `weight` and `velocity` themselves (in place) or must
  /// not overlap any input.
  package func update(
    count: Int, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    velocity: UnsafePointer<Float>, newWeight: UnsafeMutablePointer<Float>,
    newVelocity: UnsafeMutablePointer<Float>
  ) {
    // Half a megabyte of each stream: waking a thread costs some 10 us.
    ComputeThreads.split(count, grain: 1 << 17) { part in
      let first = part.lowerBound
      updatePart(
        count: part.count, gradient: gradient + first, weight: weight + first,
        velocity: velocity + first, newWeight: newWeight + first,
        newVelocity: newVelocity + first)
    }
  }

  private func updatePart(
    count: Int, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    velocity: UnsafePointer<Float>, newWeight: UnsafeMutablePointer<Float>,
    newVelocity: UnsafeMutablePointer<Float>
  ) {
    let rule = rule
    let (target, speed) = (newWeight, newVelocity)
    // Where input and output are one array, the loop must see one pointer: of two that might
    // overlap the compiler makes scalar code, which is half as fast (fc6, one thread: 26 ms in
    // place, 27 to 68 the other ways tried).
    switch (target == weight, speed == velocity) {
    case (true, true): Self.sweep(rule, count, gradient, target, speed, target, speed)
    case (false, true): Self.sweep(rule, count, gradient, weight, speed, target, speed)
    case (true, false): Self.sweep(rule, count, gradient, target, velocity, target, speed)
    case (false, false): Self.sweep(rule, count, gradient, weight, velocity, target, speed)
    }
  }

  /// Both conventions as `v <- m v + (a g + b w)`, `w <- w + c v`.
  private var rule: (m: Float, a: Float, b: Float, c: Float, clip: Float) {
    switch convention {
    case .paper2012: (momentum, -learningRate, -weightDecay * learningRate, 1, clip)
    case .pytorch: (momentum, 1, weightDecay, -learningRate, clip)
    }
  }

  @inline(__always)
  private static func sweep(
    _ rule: (m: Float, a: Float, b: Float, c: Float, clip: Float), _ count: Int,
    _ gradient: UnsafePointer<Float>, _ weight: UnsafePointer<Float>,
    _ velocity: UnsafePointer<Float>, _ newWeight: UnsafeMutablePointer<Float>,
    _ newVelocity: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<count {
      // Written so that a NaN stays one.
      let above = gradient[index] > rule.clip ? rule.clip : gradient[index]
      let g = above < -rule.clip ? -rule.clip : above
      let next = rule.m * velocity[index] + (rule.a * g + rule.b * weight[index])
      newWeight[index] = weight[index] + rule.c * next
      newVelocity[index] = next
    }
  }
}
