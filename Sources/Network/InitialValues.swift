import Tensors

extension ParameterTable.Entry {
  /// Writes initial values of the elements `range` of the row-major tensor.
  ///
  /// Element `i` is a function of (seed, name, i) alone, so a node that owns a slice draws exactly
  /// the numbers that a single process would.
  package func writeInitialValues(
    seed: UInt64, range: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape.count, "\(name): \(range)")
    let stream = RandomStream(seed: seed, purpose: .initialValue, name: name)
    let scale: Float
    switch initial {
    case .constant(let value):
      target.update(repeating: value, count: range.count)
      return
    case .uniformFanIn:
      let bound = 1 / Float(fanIn).squareRoot()
      draw(stream, range) { target[$0] = (2 * RandomStream.uniform($1) - 1) * bound }
      return
    case .normal(let deviation): scale = deviation
    case .kaiming: scale = (2 / Float(fanIn)).squareRoot()
    case .lecun: scale = (1 / Float(fanIn)).squareRoot()
    }
    draw(stream, range) {
      target[$0] = scale * Float(NormalDistribution.quantile(Double(RandomStream.uniform($1))))
    }
  }

  @inline(__always)
  private func draw(
    _ stream: RandomStream, _ range: Range<Int>, _ put: (Int, UInt32) -> Void
  ) {
    var index = range.lowerBound
    while index < range.upperBound {
      let words = stream.words(UInt64(index / 4))
      repeat {
        put(index - range.lowerBound, words[index % 4])
        index += 1
      } while index % 4 != 0 && index < range.upperBound
    }
  }
}
