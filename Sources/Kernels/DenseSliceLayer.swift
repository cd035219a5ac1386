import Network
import Tensors

/// One node's part of one fully connected layer, with the elementwise layers in front of it.
///
/// Memory only; `DenseSlice` does the computing.
final class DenseSliceLayer {
  /// How the layer is cut.
  let cut: DenseLayerCut
  /// Columns of the input and output that this node owns.
  let inputs: Range<Int>
  let outputs: Range<Int>
  /// What stands between the layer before (or the features) and this one.
  let elementwise: [DenseElementwise]
  /// Own rectangle of the weight matrix.
  let weight: OwnedParameter
  /// Bias of the own outputs.
  let bias: OwnedParameter
  /// `[rows, own inputs]`: the output of the layer before, or the features.
  let source: UnsafePointer<Float>
  /// `[rows, own inputs]`: the same after the elementwise layers.
  let input: UnsafePointer<Float>
  /// `[rows, own outputs]`.
  let output: UnsafeMutablePointer<Float>
  /// `[rows, own outputs]`: dL/doutput.
  let outputGradient: UnsafeMutablePointer<Float>
  /// What the products read in place of a slice: `[rows, all inputs]` if the layer gathers its
  /// input, `[rows, all outputs]` of gradients if it scatters. With one node, the slice itself.
  let gathered: UnsafeMutablePointer<Float>?

  /// The products as primitives; `nil` where `GEMM` computes them.
  let products: DenseProducts?

  private let memory: [AlignedBuffer]
  /// Whose weights these are, if they are not the layer's own.
  private let lender: DenseSliceLayer?

  /// Plans the memory and draws the initial values.
  ///
  /// - Parameters:
  ///   - source: `[rows, own inputs]`, before the elementwise layers.
  ///   - precision: of the products' operands, where the CPU has it.
  ///   - lender: lends its weights and their gradients; `nil` for weights of its own.
  init(
    cut: DenseLayerCut, rank: Int, rows: Int, seed: UInt64, elementwise: [DenseElementwise],
    source: UnsafePointer<Float>, precision: NumberFormat, lender: DenseSliceLayer?
  ) {
    self.lender = lender
    self.cut = cut
    self.elementwise = elementwise
    self.source = source
    inputs = cut.inputSlices[rank]
    outputs = cut.outputSlices[rank]
    input = elementwise.last.map { UnsafePointer($0.output) } ?? source

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
        gradient: allocate(count), velocity: allocate(count))
      piece.writeInitialValues(seed: seed)
      return piece
    }
    let region = cut.weightRegion(rank: rank)
    weight = lender?.weight ?? parameter(cut.weight, region.rows, region.columns)
    bias = lender?.bias ?? parameter(cut.bias, cut.biasRange(rank: rank), 0..<1)
    output = allocate(rows * outputs.count)
    outputGradient = allocate(rows * outputs.count)
    let needed =
      cut.form == .scatterOutput
      ? (inputs.isEmpty ? 0 : cut.outputs) : (outputs.isEmpty ? 0 : cut.inputs)
    gathered = cut.inputSlices.parts > 1 ? allocate(rows * needed) : nil
    products = DenseProducts(
      rows: rows, inputs: weight.columns.count, outputs: weight.rows.count, precision: precision,
      lender: lender?.products)
    self.memory = memory
  }

  /// Whether the layer gathers its inputs; else it scatters its outputs.
  var gathers: Bool { cut.form != .scatterOutput }
  /// M.
  var nodes: Int { cut.inputSlices.parts }
  /// `[rows, weight columns]`: what the weights are multiplied with.
  var productInput: UnsafePointer<Float> {
    gathers ? gathered.map { UnsafePointer($0) } ?? input : input
  }
  /// `[rows, weight rows]`: gradients of what the weights make.
  var productGradient: UnsafePointer<Float> {
    UnsafePointer(gathers ? outputGradient : gathered ?? outputGradient)
  }
}
