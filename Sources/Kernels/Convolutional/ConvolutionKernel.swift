import COneDNN
import Network
import Tensors

/// A convolution with its bias and, where one follows, the ReLU.
///
/// Each of the three passes chooses its own layouts: the forward pass's weights given to the
/// backward pass would make oneDNN 2.6 fall back to its reference code, hundreds of times slower.
///
/// In bf16 the images, their gradients and the weights are read in it; sums, biases and the
/// gradients of parameters are fp32.
final class ConvolutionKernel: LayerKernel {
  let name: String
  let destination: Memory
  /// ReLU's backward pass asks which outputs are positive.
  var rereadsDestination: Bool { fusedReLU }

  private let source: Memory
  private let fusedReLU: Bool
  private let geometry: Geometry
  private let description: PrimitiveDescription
  private let weight: Memory
  private let bias: Memory
  private let travelling: Memory

  /// Extents as oneDNN wants them.
  private struct Geometry {
    let source: [Int]
    let destination: [Int]
    /// `[out, in, kh, kw]`, or `[groups, out / groups, in / groups, kh, kw]`.
    let weight: [Int]
    let strides: [dnnl_dim_t]
    /// Above and to the left.
    let padding: [dnnl_dim_t]
    /// Below and to the right.
    let farPadding: [dnnl_dim_t]
    let algorithm: dnnl_alg_kind_t

    init(
      _ layer: Convolution, input: Shape, output: Shape, isPadded: Bool, in planner: StackPlanner
    ) {
      source = planner.extents(input)
      destination = planner.extents(output)
      let (inputs, outputs) = (input[0] / layer.groups, layer.channels / layer.groups)
      weight =
        (layer.groups > 1 ? [layer.groups] : []) + [outputs, inputs, layer.kernel, layer.kernel]
      strides = [dnnl_dim_t](repeating: dnnl_dim_t(layer.stride), count: 2)
      padding = [dnnl_dim_t](repeating: dnnl_dim_t(isPadded ? 0 : layer.padding), count: 2)
      farPadding = [1, 2].map { axis in
        dnnl_dim_t(isPadded ? 0 : layer.padding + layer.overhang(over: input[axis]))
      }
      algorithm = planner.algorithm == .auto ? dnnl_convolution_auto : dnnl_convolution_direct
    }
  }

  /// - Parameters:
  ///   - lowest: whether it is the stack's first convolution, whose input needs no gradient.
  ///   - isPassing: whether nobody but the layer behind it reads its output.
  init(
    _ layer: Convolution, _ plan: NetworkPlan.Layer, fusedReLU: Bool, lowest: Bool,
    isPassing: Bool, source: Memory, in planner: StackPlanner
  ) throws(KernelError) {
    name = plan.name
    self.fusedReLU = fusedReLU
    var geometry = Geometry(
      layer, input: plan.input, output: plan.output, isPadded: false, in: planner)
    var description = try Self.describe(geometry, relu: fusedReLU, name: name, in: planner)
    var source = source
    if lowest, geometry.farPadding.contains(where: { $0 > 0 }),
      description.implementation.contains("gemm")
    {
      let padded = Geometry(
        layer, input: ConvolutionPadding.extents(plan.input, layer), output: plan.output,
        isPadded: true, in: planner)
      let alternative = try Self.describe(padded, relu: fusedReLU, name: name, in: planner)
      if alternative.implementation.hasPrefix("jit") {
        geometry = padded
        description = alternative
        source = try ConvolutionPadding.plan(source, plan.input, layer, name: name, in: planner)
      }
    }
    self.geometry = geometry
    self.description = description
    try Self.refuseReference(description, name)
    self.source = try planner.reordered(
      source, to: description.layout(dnnl_query_src_md), name: name)
    weight = try planner.memory.kept(description.layout(dnnl_query_weights_md))
    bias = try planner.memory.kept(try .plain([layer.channels]))
    travelling = try Memory(try .plain(geometry.weight), planner.engine)
    destination = try planner.activation(
      description.layout(dnnl_query_dst_md), isPassing: isPassing)
    try planner.append(
      description,
      [
        (DNNL_ARG_SRC, self.source), (DNNL_ARG_WEIGHTS, weight), (DNNL_ARG_BIAS, bias),
        (DNNL_ARG_DST, destination),
      ], name: name, step: "forward")
    planner.parameters[planner.stage] = try parameters(in: planner)
  }

  private static func describe(
    _ geometry: Geometry, relu: Bool, name: String, in planner: StackPlanner
  ) throws(KernelError) -> PrimitiveDescription {
    var descriptor = dnnl_convolution_desc_t()
    var sourceLayout = try TensorLayout.any(geometry.source, planner.type).descriptor
    var weightLayout = try TensorLayout.any(geometry.weight, planner.type).descriptor
    var biasLayout = try TensorLayout.plain([geometry.destination[1]]).descriptor
    var destinationLayout = try TensorLayout.any(geometry.destination, planner.type).descriptor
    // Inference too is planned as training: the choice of code, and so every bit of the features,
    // is the same in both, and weights stay in layouts that a plain reorder reaches.
    try OneDNN.check(
      dnnl_convolution_forward_desc_init(
        &descriptor, dnnl_forward_training, geometry.algorithm, &sourceLayout, &weightLayout,
        &biasLayout, &destinationLayout,
        geometry.strides, geometry.padding, geometry.farPadding),
      "dnnl_convolution_forward_desc_init", layer: name)
    return try PrimitiveDescription(
      descriptor, attributes: relu ? planner.withReLU : planner.plain, engine: planner.engine,
      layer: name)
  }

  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory? {
    var gradient = gradient
    if fusedReLU {
      gradient = try ActivationKernel.planBackward(
        .relu, destination: destination, from: gradient, name: "\(name) relu", in: planner)
    }
    let weightGradient = try planWeightGradient(from: gradient, in: planner)
    guard needsInputGradient else {
      planner.parameters[planner.stage] = try parameters(
        gradient: weightGradient, in: planner)
      return nil
    }
    let (inputGradient, backwardWeight) = try planInputGradient(from: gradient, in: planner)
    planner.parameters[planner.stage] = try parameters(
      backwardWeight: backwardWeight, gradient: weightGradient, in: planner)
    return inputGradient
  }

  private func planWeightGradient(
    from gradient: Memory, in planner: StackPlanner
  ) throws(KernelError) -> (weight: Memory, bias: Memory) {
    var descriptor = dnnl_convolution_desc_t()
    var sourceLayout = try TensorLayout.any(geometry.source, planner.type).descriptor
    var weightLayout = try TensorLayout.any(geometry.weight, dnnl_f32).descriptor
    var biasLayout = bias.layout.descriptor
    var destinationLayout = try TensorLayout.any(geometry.destination, planner.type).descriptor
    try OneDNN.check(
      dnnl_convolution_backward_weights_desc_init(
        &descriptor, geometry.algorithm, &sourceLayout, &weightLayout, &biasLayout,
        &destinationLayout, geometry.strides, geometry.padding, geometry.farPadding),
      "dnnl_convolution_backward_weights_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, hint: description,
      layer: name)
    try Self.refuseReference(backward, name)
    let source = try planner.reordered(
      source, to: backward.layout(dnnl_query_src_md), region: .reordered(0), name: name)
    let gradient = try planner.reordered(
      gradient, to: backward.layout(dnnl_query_diff_dst_md), region: .reordered(1), name: name)
    let weightGradient = try planner.memory.kept(backward.layout(dnnl_query_diff_weights_md))
    let biasGradient = try planner.memory.kept(bias.layout)
    try planner.append(
      backward,
      [
        (DNNL_ARG_SRC, source), (DNNL_ARG_DIFF_DST, gradient),
        (DNNL_ARG_DIFF_WEIGHTS, weightGradient), (DNNL_ARG_DIFF_BIAS, biasGradient),
      ], name: name, step: "backward-weights")
    return (weightGradient, biasGradient)
  }

  private func planInputGradient(
    from gradient: Memory, in planner: StackPlanner
  ) throws(KernelError) -> (inputGradient: Memory, weight: Memory) {
    var descriptor = dnnl_convolution_desc_t()
    var sourceLayout = try TensorLayout.any(geometry.source, planner.type).descriptor
    var weightLayout = try TensorLayout.any(geometry.weight, planner.type).descriptor
    var destinationLayout = try TensorLayout.any(geometry.destination, planner.type).descriptor
    try OneDNN.check(
      dnnl_convolution_backward_data_desc_init(
        &descriptor, geometry.algorithm, &sourceLayout, &weightLayout, &destinationLayout,
        geometry.strides, geometry.padding, geometry.farPadding),
      "dnnl_convolution_backward_data_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, hint: description,
      layer: name)
    try Self.refuseReference(backward, name)
    let gradient = try planner.reordered(
      gradient, to: backward.layout(dnnl_query_diff_dst_md), region: .reordered(1), name: name)
    let layout = backward.layout(dnnl_query_weights_md)
    let backwardWeight = layout.matches(weight.layout) ? weight : try planner.memory.kept(layout)
    let inputGradient = try planner.gradient(backward.layout(dnnl_query_diff_src_md))
    try planner.append(
      backward,
      [
        (DNNL_ARG_DIFF_DST, gradient), (DNNL_ARG_WEIGHTS, backwardWeight),
        (DNNL_ARG_DIFF_SRC, inputGradient),
      ], name: name, step: "backward-data")
    return (inputGradient, backwardWeight)
  }

  private func parameters(
    backwardWeight: Memory? = nil, gradient: (weight: Memory, bias: Memory)? = nil,
    in planner: StackPlanner
  ) throws(KernelError) -> StageParameters {
    var load = [try planner.reorder(travelling, to: weight, name: name)]
    if let backwardWeight, backwardWeight !== weight {
      load.append(try planner.reorder(travelling, to: backwardWeight, name: name))
    }
    var store: Execution?
    if let gradient { store = try planner.reorder(gradient.weight, to: travelling, name: name) }
    return StageParameters(
      weightCount: geometry.weight.reduce(1, *), biasCount: geometry.destination[1],
      travelling: travelling, bias: bias, biasGradient: gradient?.bias, load: load, store: store)
  }

  /// oneDNN's reference code would take minutes a step: better no network than that one.
  private static func refuseReference(
    _ description: PrimitiveDescription, _ name: String
  ) throws(KernelError) {
    guard description.implementation.hasPrefix("ref") else { return }
    throw KernelError(
      call: "dnnl_primitive_desc_create",
      reason: "only the reference implementation (\(description.implementation)) takes this layer",
      layer: name)
  }
}
