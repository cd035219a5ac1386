package import Tensors

/// How one fully connected layer is cut over M FC nodes.
package struct DenseLayerCut: Hashable, Sendable {
  /// Position in `NetworkPlan.fullyConnected`.
  package let position: Int
  package let name: String
  package let inputs: Int
  package let outputs: Int
  /// Never `.auto`.
  package let form: FullyConnected.Form
  package let inputSlices: Partition
  package let outputSlices: Partition
  /// weight entry, bias entry.
  package let weight: ParameterTable.Entry
  package let bias: ParameterTable.Entry

  /// Rows and columns of the `[outputs, inputs]` weight matrix that `rank` owns.
  package func weightRegion(rank: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    switch form {
    case .scatterOutput: (0..<outputs, inputSlices[rank])
    case .gatherInput, .auto: (outputSlices[rank], 0..<inputs)
    }
  }

  /// Outputs whose bias `rank` owns: its slice of the activation, in both forms.
  package func biasRange(rank: Int) -> Range<Int> { outputSlices[rank] }
}

/// The fully connected part over M nodes: every node owns a column slice of every activation, and
/// each layer runs one of two ways that start and end there, so they compose freely.
package struct DenseCut: Hashable, Sendable {
  package let nodes: Int
  /// Slices of the features, the input of the fully connected part.
  package let featureSlices: Partition
  package let layers: [DenseLayerCut]
  /// Slices of the logits.
  package let classSlices: Partition
  /// The part of the classes that a training step draws; 1 for all.
  package let sampleRate: Float

  package init(_ plan: NetworkPlan, nodes: Int) {
    precondition(nodes >= 1, "\(nodes) FC nodes")
    self.nodes = nodes
    featureSlices = Partition(count: plan.features, parts: nodes)
    classSlices = Partition(count: plan.classes, parts: nodes)
    sampleRate = plan.sampleRate
    let last = plan.fullyConnected.count - 1
    layers = plan.fullyConnected.enumerated().compactMap { position, layer in
      guard case .fullyConnected(let full) = layer.operation else { return nil }
      let entries = Array(plan.parameters.entries(ofLayer: layer.index))
      let inputs = layer.input.count
      let form: FullyConnected.Form =
        switch full.form {
        // Of a sample only whole rows of the weights are of use.
        case .auto where position == last && plan.sampleRate < 1: .gatherInput
        case .auto: inputs <= full.units ? .gatherInput : .scatterOutput
        case .gatherInput, .scatterOutput: full.form
        }
      return DenseLayerCut(
        position: position, name: layer.name, inputs: inputs, outputs: full.units, form: form,
        inputSlices: Partition(count: inputs, parts: nodes),
        outputSlices: Partition(count: full.units, parts: nodes), weight: entries[0],
        bias: entries[1])
    }
  }

  /// Floats of the protocol's largest frame (`Limits.frameBytes`), in which a row must lie that a
  /// worker sends or a checkpoint has.
  package static let frameFloats = 1 << 20

  /// Columns of the longest of these rows: of the features, or of a layer's weights on a node.
  package var longestRow: Int {
    layers.reduce(featureSlices[0].count) { max($0, $1.weightRegion(rank: 0).columns.count) }
  }

  /// Floats an example that node `rank` sends to the node that mirrors its slice: of each layer's
  /// gradient of the weights, the factor that only `rank` has.
  package func mirroredColumns(of rank: Int) -> Int {
    layers.reduce(0) {
      $0 + ($1.form == .scatterOutput ? $1.inputSlices : $1.outputSlices)[rank].count
    }
  }

  /// Outputs of a layer that a training step computes, about: of the last one a sample, if the
  /// loss is over one.
  package func trainedOutputs(of layer: DenseLayerCut) -> Int {
    guard layer == layers.last, sampleRate < 1 else { return layer.outputs }
    return max(1, Int(Double(sampleRate) * Double(layer.outputs)))
  }

  /// Segments of computation of one sub-batch on an FC node, each between two exchanges with the
  /// other nodes: forward one exchange a layer, one for the loss, and backward one a layer when
  /// training. Segment 0 reads the workers' features; the last one of a training pass makes the
  /// features' gradients.
  ///
  /// - Parameter training: evaluation stops after the loss exchange.
  package func segmentCount(training: Bool) -> Int {
    // exchanges = layers (forward) + 1 (loss) [+ layers (backward)]; segments = exchanges + 1
    layers.count + 1 + (training ? layers.count : 0) + 1
  }
}
