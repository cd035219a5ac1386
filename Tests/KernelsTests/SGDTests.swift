import Kernels
import Tensors
import Testing

@Suite struct SGDTests {
  /// Ten steps in single precision against double: 1e-6 of values near 1.
  @Test(arguments: SGD.Convention.allCases, [true, false])
  func `ten steps with a falling rate go where the golden file goes`(
    convention: SGD.Convention, inPlace: Bool
  ) throws {
    let golden = try DenseFixture.golden("dense.txt")
    let start = try #require(golden["sgd.start"])
    let count = start.count
    var weight = AlignedBuffer(floats: count)
    var velocity = AlignedBuffer(floats: count)
    for index in 0..<count { weight.floats[index] = Float(start[index]) }
    let gradients = try #require(golden["sgd.gradients"])
    let constants = try #require(golden["sgd.constants"])
    let path = try #require(golden["sgd.\(convention.rawValue)"])
    for (step, rate) in try #require(golden["sgd.rates"]).enumerated() {
      let sgd = SGD(
        learningRate: Float(rate), momentum: Float(constants[0]),
        weightDecay: Float(constants[1]), convention: convention)
      let newWeight = inPlace ? weight : AlignedBuffer(floats: count)
      let newVelocity = inPlace ? velocity : AlignedBuffer(floats: count)
      sgd.update(
        count: count,
        gradient: gradients[(step * count)..<((step + 1) * count)].map { Float($0) },
        weight: weight.floatPointer, velocity: velocity.floatPointer,
        newWeight: newWeight.floatPointer, newVelocity: newVelocity.floatPointer)
      weight = newWeight
      velocity = newVelocity
      let wanted = Array(path[(step * count)..<((step + 1) * count)])
      #expect(DenseFixture.error(Array(weight.floats[..<count]), wanted) < 1e-6, "step \(step)")
    }
    let wanted = try #require(golden["sgd.\(convention.rawValue).velocity"])
    #expect(DenseFixture.error(Array(velocity.floats[..<count]), wanted) < 1e-6)
  }

  @Test(arguments: [2, 3])
  func `an update on several threads has the bits of one`(threads: Int) {
    // Large enough to be split, into parts of unequal length.
    let count = 1_000_003
    let sgd = SGD(
      learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4, convention: .paper2012)
    func updated(on threads: Int) -> [Float] {
      ComputeThreads.use(threads)
      defer { ComputeThreads.use(1) }
      let memory = (0..<3).map { salt in
        let buffer = AlignedBuffer(floats: count)
        for index in 0..<count { buffer.floatPointer[index] = Float((index + salt) % 97) * 0.01 }
        return buffer
      }
      sgd.update(
        count: count, gradient: memory[0].floatPointer, weight: memory[1].floatPointer,
        velocity: memory[2].floatPointer, newWeight: memory[1].floatPointer,
        newVelocity: memory[2].floatPointer)
      return withExtendedLifetime(memory) { Array(memory[1].floats[..<count]) }
    }
    #expect(updated(on: threads) == updated(on: 1))
  }

  @Test(arguments: SGD.Convention.allCases)
  func `a gradient is cut element by element, and what is no number stays so`(
    convention: SGD.Convention
  ) {
    let cut = SGD(
      learningRate: 0.5, momentum: 0, weightDecay: 0, convention: convention, clip: 0.25)
    let gradient: [Float] = [0.1, -0.2, 3, -4, .nan, .infinity]
    let weight = AlignedBuffer(floats: gradient.count)
    let velocity = AlignedBuffer(floats: gradient.count)
    for index in gradient.indices { (weight.floats[index], velocity.floats[index]) = (1, 0) }
    cut.update(
      count: gradient.count, gradient: gradient, weight: weight.floatPointer,
      velocity: velocity.floatPointer, newWeight: weight.floatPointer,
      newVelocity: velocity.floatPointer)
    let expected: [Float] = [0.95, 1.1, 0.875, 1.125, .nan, 0.875]
    for (index, value) in expected.enumerated() {
      let found = weight.floats[index]
      #expect(value.isNaN ? found.isNaN : abs(found - value) < 1e-6, "element \(index)")
    }
  }
}
