import Kernels
import Tensors
import Testing

@Suite struct SummedStepTests {
  private static let count = 10_000

  private static func buffer(_ salt: UInt64) -> AlignedBuffer {
    let buffer = AlignedBuffer(floats: count)
    for (index, value) in DenseFixture.numbers(count, salt: salt).enumerated() {
      buffer.floatPointer[index] = value
    }
    return buffer
  }

  private static let sgd = SGD(
    learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4, convention: .paper2012)

  @Test(arguments: [1, 2, 5], [1, 3])
  func `it makes the bits of sums in order and a step after them`(workers: Int, threads: Int) {
    ComputeThreads.use(threads)
    defer { ComputeThreads.use(1) }
    let gradients = (0..<workers).map { Self.buffer(UInt64(10 + $0)) }
    let (weight, velocity) = (Self.buffer(1), Self.buffer(2))
    let (sum, wanted) = (AlignedBuffer(floats: Self.count), AlignedBuffer(floats: Self.count))
    let speed = AlignedBuffer(floats: Self.count)
    for index in 0..<Self.count {
      sum.floatPointer[index] = gradients.reduce(into: 0) { $0 += $1.floatPointer[index] }
    }
    Self.sgd.update(
      count: Self.count, gradient: UnsafePointer(sum.floatPointer),
      weight: UnsafePointer(weight.floatPointer), velocity: UnsafePointer(velocity.floatPointer),
      newWeight: wanted.floatPointer, newVelocity: speed.floatPointer)
    let outputs = (0..<3).map { _ in AlignedBuffer(floats: Self.count) }
    // In two pieces, as the weights and the biases of a chunk are.
    for range in [0..<4_321, 4_321..<Self.count] {
      let first = range.lowerBound
      let isFinite = SummedStep(
        Self.sgd, gradients: gradients.map { UnsafePointer($0.floatPointer) }
      ).run(
        range,
        SummedStep.Memory(
          weight: UnsafePointer(weight.floatPointer + first),
          velocity: UnsafePointer(velocity.floatPointer + first),
          newWeight: outputs[0].floatPointer + first,
          newVelocity: outputs[1].floatPointer + first, copy: outputs[2].floatPointer + first))
      #expect(isFinite)
    }
    withExtendedLifetime((gradients, weight, velocity, sum)) {
      for (made, wanted) in zip(outputs, [wanted, speed, wanted]) {
        #expect(Array(made.floats[..<Self.count]) == Array(wanted.floats[..<Self.count]))
      }
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity], [0, 4_095, 4_096, 9_999])
  func `a sum or a weight that is no number is noticed wherever it is`(value: Float, place: Int) {
    func step(_ spoil: (AlignedBuffer, AlignedBuffer) -> Void) -> Bool {
      let (gradient, weight) = (Self.buffer(10), Self.buffer(1))
      spoil(gradient, weight)
      let other = Self.buffer(11)
      let velocity = Self.buffer(2)
      let outputs = (0..<3).map { _ in AlignedBuffer(floats: Self.count) }
      return withExtendedLifetime((gradient, weight, other, velocity, outputs)) {
        SummedStep(
          Self.sgd,
          gradients: [UnsafePointer(gradient.floatPointer), UnsafePointer(other.floatPointer)]
        ).run(
          0..<Self.count,
          SummedStep.Memory(
            weight: UnsafePointer(weight.floatPointer),
            velocity: UnsafePointer(velocity.floatPointer), newWeight: outputs[0].floatPointer,
            newVelocity: outputs[1].floatPointer, copy: outputs[2].floatPointer))
      }
    }
    #expect(step { _, _ in })
    #expect(!step { gradient, _ in gradient.floatPointer[place] = value })
    #expect(!step { _, weight in weight.floatPointer[place] = value })
  }
}
