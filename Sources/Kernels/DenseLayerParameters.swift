import Network
import Tensors

/// One node's weights and biases of one layer, of which every sub-batch's slice of the layer
/// reads: the committed version, and where weights step within a step a working one beside it.
///
/// Two versions cost a second copy of weights and velocities, and make a step that comes to nothing
/// free: the next one starts from the committed version again.
final class DenseLayerParameters {
  /// Own rectangle of the weight matrix, committed.
  private(set) var weight: OwnedParameter
  /// Bias of the own outputs, committed.
  private(set) var bias: OwnedParameter
  /// The same gradients beside values and velocities of its own.
  private(set) var working: (weight: OwnedParameter, bias: OwnedParameter)?
  /// Whether the products read the working version.
  var readsWorking = false

  /// The rows that a step changes, where the loss is over a sample of the classes.
  let active: ActiveRows?

  private let memory: [AlignedBuffer]

  /// Plans the memory and draws the initial values.
  ///
  /// - Parameters:
  ///   - trains: whether there is memory for gradients and velocities.
  ///   - keepsWorking: whether there is a working version.
  ///   - isSampled: whether a step changes only some rows.
  init(
    _ cut: DenseLayerCut, rank: Int, seed: UInt64, trains: Bool, keepsWorking: Bool,
    isSampled: Bool
  ) {
    precondition(!(keepsWorking && isSampled), "a sample of the classes has one version")
    var memory: [AlignedBuffer] = []
    func allocate(_ floats: Int) -> UnsafeMutablePointer<Float> {
      let buffer = AlignedBuffer(floats: floats)
      memory.append(buffer)
      return buffer.floatPointer
    }
    func parameter(
      _ entry: ParameterTable.Entry, _ rows: Range<Int>, _ columns: Range<Int>
    ) -> OwnedParameter {
      let count = rows.count * columns.count
      let piece = OwnedParameter(
        entry: entry, rows: rows, columns: columns, value: allocate(count),
        gradient: allocate(trains ? count : 0), velocity: allocate(trains ? count : 0))
      piece.writeInitialValues(seed: seed)
      return piece
    }
    func beside(_ piece: OwnedParameter) -> OwnedParameter {
      OwnedParameter(
        entry: piece.entry, rows: piece.rows, columns: piece.columns, value: allocate(piece.count),
        gradient: piece.gradient, velocity: allocate(piece.count))
    }
    let region = cut.weightRegion(rank: rank)
    active = isSampled ? ActiveRows(count: region.rows.count) : nil
    var weight = parameter(cut.weight, region.rows, region.columns)
    var bias = parameter(cut.bias, cut.biasRange(rank: rank), 0..<1)
    weight.active = active
    bias.active = active
    working = keepsWorking ? (beside(weight), beside(bias)) : nil
    self.weight = weight
    self.bias = bias
    self.memory = memory
  }

  /// What the products read.
  var weightValue: UnsafeMutablePointer<Float> {
    (readsWorking ? working?.weight : nil)?.value ?? weight.value
  }

  /// What is added to the products.
  var biasValue: UnsafeMutablePointer<Float> {
    (readsWorking ? working?.bias : nil)?.value ?? bias.value
  }

  /// Makes the working version the committed one; without a working version nothing.
  func commit() {
    guard let next = working else { return }
    working = (weight, bias)
    (weight, bias) = next
    readsWorking = false
  }
}
