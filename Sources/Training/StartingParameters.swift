package import Kernels
package import Network
import Tensors

/// Where a run's parameters start: drawn from its seed, or what an earlier run has left.
package enum StartingParameters: Sendable {
  /// Every element drawn from the seed, as its layer says.
  case drawn
  /// In memory: row-major values by the parameter's name.
  case given([String: [Float]])
  /// A model file; a node reads only the part that it owns.
  case stored(SafeTensorsReader)

  /// Checks that there is a tensor of the right shape for every parameter, and no other.
  ///
  /// - Throws: `TrainingError` naming the tensor that is missing, foreign or of another shape.
  package func check(against table: ParameterTable) throws(TrainingError) {
    let names: [String]
    switch self {
    case .drawn: return
    case .given(let values): names = values.keys.sorted()
    case .stored(let file): names = file.names
    }
    for entry in table.entries {
      guard names.contains(entry.name) else {
        throw failure("there is no tensor \(entry.name), \(entry.shape) (\(entry.layerName))")
      }
      guard let found = shapeMismatch(of: entry) else { continue }
      throw failure(
        "tensor \(entry.name) is \(found), the network's \(entry.layerName) \(entry.shape)")
    }
    let known = Set(table.entries.map(\.name))
    if let foreign = names.first(where: { !known.contains($0) }) {
      throw failure("tensor \(foreign) is none of the network's parameters")
    }
  }

  /// Writes a stage's vector: weight elements, then bias elements.
  ///
  /// - Precondition: `check` has passed.
  package func write(
    _ stage: ConvolutionalStage, seed: UInt64, into vector: UnsafeMutablePointer<Float>
  ) throws(TrainingError) {
    var target = vector
    for entry in stage.parameters {
      let count = entry.shape.count
      if case .drawn = self {
        entry.writeInitialValues(seed: seed, range: 0..<count, into: target)
      } else {
        try copy(entry, 0..<count, into: target)
      }
      target += count
    }
  }

  /// Puts the values into a slice in place of those it drew from the seed when it was made.
  ///
  /// - Precondition: `check` has passed.
  package func load(into slice: DenseSlice) throws(TrainingError) {
    if case .drawn = self { return }
    for parameter in slice.parameters {
      for (elements, offset) in parameter.region.runs {
        try copy(parameter.entry, elements, into: parameter.value + offset)
      }
    }
  }

  /// Copies elements of a row-major tensor.
  private func copy(
    _ entry: ParameterTable.Entry, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) throws(TrainingError) {
    switch self {
    case .drawn: preconditionFailure("\(entry.name) is to be drawn, not copied")
    case .given(let values):
      guard let tensor = values[entry.name], tensor.count == entry.shape.count else {
        preconditionFailure("\(entry.name) was not checked")
      }
      tensor.withUnsafeBufferPointer { source in
        guard let base = source.baseAddress else { return }
        target.update(from: base + elements.lowerBound, count: elements.count)
      }
    case .stored(let file):
      do throws(SafeTensorsError) {
        try file.read(entry.name, elements: elements, into: target)
      } catch {
        throw TrainingError("\(error)")
      }
    }
  }

  /// What is there in place of the entry's shape, for people; `nil` if it fits.
  private func shapeMismatch(of entry: ParameterTable.Entry) -> String? {
    switch self {
    case .drawn: return nil
    case .given(let values):
      let count = values[entry.name]?.count ?? 0
      return count == entry.shape.count ? nil : "\(count) values"
    case .stored(let file):
      let shape = file.shape(of: entry.name) ?? []
      guard shape != entry.shape.extents else { return nil }
      return shape.isEmpty ? "a scalar" : shape.map(String.init).joined(separator: "x")
    }
  }

  private func failure(_ text: String) -> TrainingError {
    if case .stored(let file) = self { return TrainingError("\(file.path): \(text)") }
    return TrainingError("starting parameters: \(text)")
  }
}
