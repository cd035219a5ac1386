import Tensors

/// A parameter server's step in one pass over memory: the workers' gradients are summed, checked and
/// applied, and the new weights copied to where they are sent from, some thousands of values at a
/// time, which stay in the core's first cache from one of these to the next.
package struct SummedStep {
  /// Values that are at hand at a time: 16 KB each of sum, weights and velocities.
  private static let block = 4096

  /// The rule, with the step's constants.
  package let sgd: SGD
  /// One a worker, in the order in which they are added; at least one.
  package let gradients: [UnsafePointer<Float>]

  package init(_ sgd: SGD, gradients: [UnsafePointer<Float>]) {
    precondition(!gradients.isEmpty, "a step without a gradient")
    self.sgd = sgd
    self.gradients = gradients
  }

  /// Where a step reads and writes; none of the outputs overlaps an input.
  package struct Memory {
    package let weight: UnsafePointer<Float>
    package let velocity: UnsafePointer<Float>
    package let newWeight: UnsafeMutablePointer<Float>
    package let newVelocity: UnsafeMutablePointer<Float>
    /// Another copy of the new weights.
    package let copy: UnsafeMutablePointer<Float>

    package init(
      weight: UnsafePointer<Float>, velocity: UnsafePointer<Float>,
      newWeight: UnsafeMutablePointer<Float>, newVelocity: UnsafeMutablePointer<Float>,
      copy: UnsafeMutablePointer<Float>
    ) {
      self.weight = weight
      self.velocity = velocity
      self.newWeight = newWeight
      self.newVelocity = newVelocity
      self.copy = copy
    }
  }

  /// Applies values `range` of the gradients to `memory`, whose pointers are to the first of them, on
  /// the threads of the caller's team.
  ///
  /// Every value is what adding the gradients in order and `SGD.update` would make of it, to the bit.
  ///
  /// - Returns: whether all sums and all new weights are numbers.
  package func run(_ range: Range<Int>, _ memory: Memory) -> Bool {
    let flags = ComputeThreads.Finding()
    ComputeThreads.split(range.count, grain: 1 << 17) { part in
      if !run(part, first: range.lowerBound, memory) { flags.note() }
    }
    return !flags.isNoted
  }

  private func run(_ part: Range<Int>, first: Int, _ memory: Memory) -> Bool {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.block) { room in
      guard let sum = room.baseAddress else { return true }
      var isFinite = true
      for start in stride(from: part.lowerBound, to: part.upperBound, by: Self.block) {
        let count = min(Self.block, part.upperBound - start)
        let gradient = total(first + start, count, sum)
        sgd.update(
          count: count, gradient: gradient, weight: memory.weight + start,
          velocity: memory.velocity + start, newWeight: memory.newWeight + start,
          newVelocity: memory.newVelocity + start)
        let new = UnsafePointer(memory.newWeight + start)
        (memory.copy + start).update(from: new, count: count)
        // What is not a number in a gradient is none in the weight either, whatever the learning
        // rate; only a clip makes one of it.
        isFinite =
          isFinite && UnsafeBufferPointer(start: new, count: count).largestMagnitude.isFinite
          && (sgd.clip == .infinity
            || UnsafeBufferPointer(start: gradient, count: count).largestMagnitude.isFinite)
      }
      return isFinite
    }
  }

  /// A single gradient is its own sum.
  private func total(
    _ start: Int, _ count: Int, _ sum: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    guard gradients.count > 1 else { return gradients[0] + start }
    let (a, b) = (gradients[0] + start, gradients[1] + start)
    for index in 0..<count { sum[index] = a[index] + b[index] }
    for gradient in gradients.dropFirst(2) {
      DenseVector.add(gradient + start, to: sum, count: count)
    }
    return UnsafePointer(sum)
  }
}
