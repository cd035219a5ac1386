import Network
import Tensors
import Testing

@Suite struct InitialValuesTests {
  static func entry(_ initial: Initializer, second: Bool = false) throws -> ParameterTable.Entry {
    let layer = LayerSpec(
      .fullyConnected(FullyConnected(units: 100, weight: initial, bias: .constant(0.5))))
    let first = LayerSpec(.fullyConnected(FullyConnected(units: 200, weight: initial)))
    let plan = try NetworkPlan(input: Shape(2, 5, 20), layers: [first, layer])
    return plan.parameters.entries[second ? 2 : 0]
  }

  static func values(
    _ entry: ParameterTable.Entry, seed: UInt64 = 7, _ range: Range<Int>? = nil
  ) -> [Float] {
    let range = range ?? 0..<entry.shape.count
    // A guard element behind the range shows a write too many.
    var out = [Float](repeating: -99, count: range.count + 1)
    out.withUnsafeMutableBufferPointer {
      guard let base = $0.baseAddress else { return }
      entry.writeInitialValues(seed: seed, range: range, into: base)
    }
    #expect(out.removeLast() == -99)
    return out
  }

  static let rules: [Initializer] = [
    .constant(0.25), .normal(0.01), .kaiming, .lecun, .uniformFanIn,
  ]

  @Test(arguments: rules, [0..<1, 0..<40_000, 1..<2, 3..<4, 2..<7, 4..<8, 39_997..<40_000, 5..<5])
  func `a range gets the numbers that the whole tensor would`(
    rule: Initializer, range: Range<Int>
  ) throws {
    let entry = try Self.entry(rule)
    #expect(Self.values(entry, range) == Array(Self.values(entry)[range]))
  }

  @Test(arguments: [1, 2, 3, 7])
  func `any number of nodes draws the same tensor`(nodes: Int) throws {
    let entry = try Self.entry(.kaiming)
    let parts = Partition(count: entry.shape.count, parts: nodes).ranges
    #expect(parts.flatMap { Self.values(entry, $0) } == Self.values(entry))
  }

  @Test(arguments: rules.dropFirst())
  func `the seed alone decides the numbers of a parameter`(rule: Initializer) throws {
    let entry = try Self.entry(rule)
    let first = Self.values(entry, 0..<64)
    #expect(first == Self.values(entry, 0..<64))
    #expect(first != Self.values(entry, seed: 8, 0..<64))
    #expect(Set(first).count > 60)
  }

  @Test func `parameters of other names have other numbers`() throws {
    let first = Self.values(try Self.entry(.normal(1)), 0..<64)
    let second = Self.values(try Self.entry(.normal(1), second: true), 0..<64)
    #expect(Set(first).isDisjoint(with: second))
  }

  // 200 x 200 elements: the standard error of the mean is deviation / 200, of the deviation
  // deviation / 283; five of each are allowed.
  @Test(arguments: [
    (Initializer.normal(0.01), 0.01), (.kaiming, 0.1), (.lecun, 0.0707107),
    (.uniformFanIn, 0.0408248),
  ])
  func `mean and deviation are the rule's`(rule: Initializer, deviation: Double) throws {
    let values = Self.values(try Self.entry(rule)).map(Double.init)
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    #expect(abs(mean) < 5 * deviation / 200)
    #expect(abs(variance.squareRoot() - deviation) < 5 * deviation / 283)
  }

  @Test func `uniform values stay within one over the root of the fan-in`() throws {
    let bound = 1 / Float(200).squareRoot()
    let values = Self.values(try Self.entry(.uniformFanIn))
    #expect(values.allSatisfy { abs($0) < bound })
    #expect((values.max() ?? 0) > 0.99 * bound)
    #expect((values.min() ?? 0) < -0.99 * bound)
  }
}
