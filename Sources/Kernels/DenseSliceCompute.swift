import Network
import Tensors

/// The computation inside the segments.
extension DenseSlice {
  /// Finishes what an exchange was for.
  func consume(_ exchange: DenseCut.Exchange, _ received: [[Frame]]) {
    switch exchange {
    case .forward(let position): finishForward(layers[position], received)
    case .loss: finishLoss(received)
    case .backward(let position): finishBackward(position, received)
    }
  }

  /// Computes what an exchange sends.
  func produce(_ exchange: DenseCut.Exchange) {
    switch exchange {
    case .forward(let position): startForward(layers[position])
    case .loss:
      guard let last = layers.last else { return }
      // The gradient's memory holds the exponentials until the loss is known.
      loss.summarize(last.output, labels: labels, exponentials: last.outputGradient)
    case .backward(let position): startBackward(position)
    }
  }

  private func startForward(_ layer: DenseSliceLayer) {
    var current = layer.source
    for operation in layer.elementwise {
      operation.forward(current, pass: pass, seed: seed, positions: positions)
      current = UnsafePointer(operation.output)
    }
    guard !layer.gathers else { return }
    // Partial sums of all outputs; with one node they are the outputs.
    guard !layer.inputs.isEmpty else { return }
    forward(
      layer, layer.input, into: layer.nodes == 1 ? layer.output : partial.floatPointer)
  }

  private func finishForward(_ layer: DenseSliceLayer, _ received: [[Frame]]) {
    if layer.gathers {
      guard !layer.outputs.isEmpty else { return }
      if let gathered = layer.gathered {
        gather(received, own: layer.input, slices: layer.cut.inputSlices, into: gathered)
      }
      forward(layer, layer.productInput, into: layer.output)
    } else if layer.nodes > 1 {
      reduce(
        received, slices: layer.cut.outputSlices, contributors: layer.cut.inputSlices,
        into: layer.output)
    }
    for row in 0..<rows {
      DenseVector.add(
        layer.bias.value, to: layer.output + row * layer.outputs.count, count: layer.outputs.count)
    }
  }

  private func finishLoss(_ received: [[Frame]]) {
    guard let last = layers.last else { return }
    for peer in 0..<cut.nodes where peer != rank && !cut.classSlices[peer].isEmpty {
      let table = loss.statistics(of: peer)
      DensePayload.walk(received[peer], rows: rows, columns: LossSlice.width) {
        row, column, values, count in
        DenseVector.copy(values, to: table + row * LossSlice.width + column, count: count)
      }
    }
    lossSum = loss.combine(
      labels: labels, examples: pass.examples, gradient: pass.training ? last.outputGradient : nil)
  }

  private func startBackward(_ position: Int) {
    let layer = layers[position]
    guard layer.gathers, !layer.outputs.isEmpty else { return }
    // Partial gradients of all inputs; with one node they are the gradients.
    backward(
      layer, layer.outputGradient,
      into: layer.nodes == 1 ? inputGradient(position) : partial.floatPointer)
  }

  private func finishBackward(_ position: Int, _ received: [[Frame]]) {
    let layer = layers[position]
    guard !layer.inputs.isEmpty else { return }
    let gradient = inputGradient(position)
    if !layer.gathers {
      if let gathered = layer.gathered {
        gather(
          received, own: layer.outputGradient, slices: layer.cut.outputSlices, into: gathered)
      }
      backward(layer, layer.productGradient, into: gradient)
    } else if layer.nodes > 1 {
      reduce(
        received, slices: layer.cut.inputSlices, contributors: layer.cut.outputSlices,
        into: gradient)
    }
    for operation in layer.elementwise.reversed() { operation.backward(gradient) }
  }

  /// Computes dL/dweight and dL/dbias of every layer, after the last training segment.
  ///
  /// Apart from the segments, so that the feature gradient can leave first.
  ///
  /// - Parameter accumulate: add to what is there (further sub-batches of a step).
  package func computeParameterGradients(accumulate: Bool = false) {
    precondition(
      pass.training && nextSegment == cut.segmentCount(training: true), "the pass is not over")
    for layer in layers {
      let weight = layer.weight
      if let products = layer.products {
        products.weightGradient(
          layer.productGradient, layer.productInput, into: weight.gradient, adding: accumulate)
      } else {
        gemm.transposedMultiply(
          layer.productGradient, layer.productInput, into: weight.gradient,
          m: weight.columns.isEmpty ? 0 : weight.rows.count, n: weight.columns.count, k: rows,
          accumulate: accumulate)
      }
      let units = layer.outputs.count
      if !accumulate { layer.bias.gradient.update(repeating: 0, count: units) }
      for row in 0..<rows {
        DenseVector.add(
          layer.outputGradient + row * units, to: layer.bias.gradient, count: units)
      }
    }
  }

  /// `[rows, weight rows] = input[rows, weight columns] weight^T`.
  private func forward(
    _ layer: DenseSliceLayer, _ input: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    let weight = layer.weight
    if let products = layer.products {
      products.forward(input, weight.value, into: output)
    } else {
      gemm.multiplyTransposed(
        input, weight.value, into: output, m: rows, n: weight.rows.count,
        k: weight.columns.count)
    }
  }

  /// `[rows, weight columns] = gradient[rows, weight rows] weight`.
  private func backward(
    _ layer: DenseSliceLayer, _ gradient: UnsafePointer<Float>,
    into target: UnsafeMutablePointer<Float>
  ) {
    let weight = layer.weight
    if let products = layer.products {
      products.backward(gradient, weight.value, into: target)
    } else {
      gemm.multiply(
        gradient, weight.value, into: target, m: rows, n: weight.columns.count,
        k: weight.rows.count)
    }
  }

  /// Puts every rank's columns side by side: `[rows, all]`.
  private func gather(
    _ received: [[Frame]], own: UnsafePointer<Float>, slices: Partition,
    into target: UnsafeMutablePointer<Float>
  ) {
    for source in 0..<cut.nodes where !slices[source].isEmpty {
      let range = slices[source]
      if source == rank {
        for row in 0..<rows {
          (target + row * slices.count + range.lowerBound).update(
            from: own + row * range.count, count: range.count)
        }
        continue
      }
      DensePayload.walk(received[source], rows: rows, columns: range.count) {
        row, column, values, count in
        DenseVector.copy(
          values, to: target + row * slices.count + range.lowerBound + column, count: count)
      }
    }
  }

  /// Sums every rank's partial sums of the own columns, in rank order from 0: `[rows, own]`.
  ///
  /// - Parameter contributors: ranks with nothing here have no part in the sum.
  private func reduce(
    _ received: [[Frame]], slices: Partition, contributors: Partition,
    into target: UnsafeMutablePointer<Float>
  ) {
    let own = slices[rank]
    guard !own.isEmpty else { return }
    for source in 0..<cut.nodes where !contributors[source].isEmpty {
      let add = source == 0 ? DenseVector.copy : DenseVector.add
      if source == rank {
        for row in 0..<rows {
          add(
            partial.floatPointer + row * slices.count + own.lowerBound, target + row * own.count,
            own.count)
        }
        continue
      }
      DensePayload.walk(received[source], rows: rows, columns: own.count) {
        row, column, values, count in
        add(values, target + row * own.count + column, count)
      }
    }
  }
}
