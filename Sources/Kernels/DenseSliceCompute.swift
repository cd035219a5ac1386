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
      loss.summarize(
        last.output, labels: labels, sample: sample, exponentials: last.outputGradient)
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
      if let head = head(layer) {
        head.sample.draw(step: pass.step, labels: labels, rows: rows)
        head.gather(weight: layer.parameters.weightValue, bias: layer.parameters.biasValue)
      }
      forward(layer, layer.productInput, into: layer.output)
    } else if layer.nodes > 1 {
      reduce(
        received, slices: layer.cut.outputSlices, contributors: layer.cut.inputSlices,
        into: layer.output)
    }
    let columns = columns(of: layer)
    let bias = head(layer)?.bias ?? layer.parameters.biasValue
    for row in 0..<rows {
      DenseVector.add(bias, to: layer.output + row * columns, count: columns)
    }
  }

  /// Columns of a layer's own outputs in the pass under way.
  func columns(of layer: DenseSliceLayer) -> Int {
    head(layer)?.sample.count ?? layer.outputs.count
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
      labels: labels, examples: pass.examples, sample: sample,
      gradient: pass.training ? last.outputGradient : nil)
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
  /// - Parameters:
  ///   - accumulate: add to what is there (further sub-batches of a step).
  ///   - scale: of them all: the pass's mean is over the global batch, that of a step within a
  ///     step over its sub-batch.
  package func computeParameterGradients(accumulate: Bool = false, scale: Float = 1) {
    precondition(
      pass.training && nextSegment == cut.segmentCount(training: true), "the pass is not over")
    for layer in layers {
      let (weight, bias) = (layer.parameters.weight, layer.parameters.bias)
      if let head = head(layer) {
        precondition(scale == 1, "a sample of the classes steps once a step")
        computeGradients(of: head, layer, accumulate: accumulate)
        continue
      }
      if let products = layer.products {
        products.weightGradient(
          layer.productGradient, layer.productInput, into: weight.gradient, adding: accumulate)
        if scale != 1 { for index in 0..<weight.count { weight.gradient[index] *= scale } }
      } else {
        gemm.transposedMultiply(
          layer.productGradient, layer.productInput, into: weight.gradient,
          m: weight.columns.isEmpty ? 0 : weight.rows.count, n: weight.columns.count, k: rows,
          accumulate: accumulate, scale: scale)
      }
      let units = layer.outputs.count
      if !accumulate { bias.gradient.update(repeating: 0, count: units) }
      for row in 0..<rows {
        DenseVector.add(layer.outputGradient + row * units, to: bias.gradient, count: units)
      }
      guard scale != 1 else { continue }
      precondition(!accumulate, "sums of sub-batches are scaled once")
      for index in 0..<units { bias.gradient[index] *= scale }
    }
  }

  /// Gradients of the rows in the sample; the others' stay 0.
  private func computeGradients(
    of head: SampledHead, _ layer: DenseSliceLayer, accumulate: Bool
  ) {
    let count = head.sample.count
    if !accumulate {
      layer.parameters.active?.clear(layer.parameters.weight, layer.parameters.bias)
    }
    // The weights that lie there are not needed any more.
    gemm.transposedMultiply(
      layer.productGradient, layer.productInput, into: head.rows, m: count, n: layer.cut.inputs,
      k: rows, accumulate: false)
    head.bias.update(repeating: 0, count: count)
    for row in 0..<rows {
      DenseVector.add(layer.outputGradient + row * count, to: head.bias, count: count)
    }
    head.scatter(into: layer.parameters)
  }

  /// `[rows, weight rows] = input[rows, weight columns] weight^T`; of a sample its rows alone.
  private func forward(
    _ layer: DenseSliceLayer, _ input: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    let weight = layer.parameters.weight
    if let products = layer.products {
      products.forward(input, layer.parameters.weightValue, into: output)
    } else {
      let head = head(layer)
      gemm.multiplyTransposed(
        input, head?.rows ?? layer.parameters.weightValue, into: output, m: rows,
        n: head?.sample.count ?? weight.rows.count, k: weight.columns.count)
    }
  }

  /// `[rows, weight columns] = gradient[rows, weight rows] weight`; of a sample its rows alone.
  private func backward(
    _ layer: DenseSliceLayer, _ gradient: UnsafePointer<Float>,
    into target: UnsafeMutablePointer<Float>
  ) {
    let weight = layer.parameters.weight
    if let products = layer.products {
      products.backward(gradient, layer.parameters.weightValue, into: target)
    } else {
      let head = head(layer)
      gemm.multiply(
        gradient, head?.rows ?? layer.parameters.weightValue, into: target, m: rows,
        n: weight.columns.count, k: head?.sample.count ?? weight.rows.count)
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
