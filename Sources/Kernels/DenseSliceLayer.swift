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
  /// Weights, biases and their gradients.
  let parameters: DenseLayerParameters
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

  /// Plans the memory.
  ///
  /// - Parameters:
  ///   - source: `[rows, own inputs]`, before the elementwise layers.
  ///   - parameters: of this cut and rank; other sub-batches' layers may have the same.
  ///   - precision: of the products' operands, where the CPU has it.
  ///   - lender: products of the same weights, whose copies of them these read.
  init(
    cut: DenseLayerCut, rank: Int, rows: Int, elementwise: [DenseElementwise],
    source: UnsafePointer<Float>, parameters: DenseLayerParameters, precision: NumberFormat,
    lender: DenseProducts?
  ) {
    self.parameters = parameters
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
    output = allocate(rows * outputs.count)
    outputGradient = allocate(rows * outputs.count)
    let needed =
      cut.form == .scatterOutput
      ? (inputs.isEmpty ? 0 : cut.outputs) : (outputs.isEmpty ? 0 : cut.inputs)
    gathered = cut.inputSlices.parts > 1 ? allocate(rows * needed) : nil
    // A sample of the classes has another size in every step.
    let weight = parameters.weight
    products =
      parameters.active != nil
      ? nil
      : DenseProducts(
        rows: rows, inputs: weight.columns.count, outputs: weight.rows.count,
        precision: precision, lender: lender)
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
