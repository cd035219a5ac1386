import COneDNN
import Network
import Tensors

/// Max or average pooling.
final class PoolingKernel: LayerKernel {
  let name: String
  let destination: Memory
  /// Max pooling remembers in its workspace which element won.
  var rereadsDestination: Bool { false }

  private let source: Memory
  private let window: [dnnl_dim_t]
  private let strides: [dnnl_dim_t]
  /// Top and left.
  private let padding: [dnnl_dim_t]
  /// Bottom and right: larger where rounding up lets the last window hang over the edge.
  private let farPadding: [dnnl_dim_t]
  private let algorithm: dnnl_alg_kind_t
  private let description: PrimitiveDescription
  private let workspace: Memory?
  private let overhang: AverageOverhang?

  init(
    _ layer: Pooling, _ plan: NetworkPlan.Layer, source: Memory, in planner: StackPlanner
  ) throws(KernelError) {
    name = plan.name
    algorithm = layer.kind == .max ? dnnl_pooling_max : dnnl_pooling_avg_include_padding
    window = [dnnl_dim_t](repeating: dnnl_dim_t(layer.window), count: 2)
    strides = [dnnl_dim_t](repeating: dnnl_dim_t(layer.stride), count: 2)
    padding = [dnnl_dim_t](repeating: dnnl_dim_t(layer.padding), count: 2)
    farPadding = [1, 2].map { axis in
      let covered = (plan.output[axis] - 1) * layer.stride + layer.window
      return dnnl_dim_t(max(layer.padding, covered - plan.input[axis] - layer.padding))
    }
    let forward = {
      [algorithm, window, strides, padding, farPadding, name]
      (_ layout: TensorLayout) throws(KernelError) -> PrimitiveDescription in
      var descriptor = dnnl_pooling_desc_t()
      var sourceLayout = layout.descriptor
      var destinationLayout = try TensorLayout.any(
        planner.extents(plan.output), layout.type
      ).descriptor
      try OneDNN.check(
        dnnl_pooling_forward_desc_init(
          &descriptor, planner.training ? dnnl_forward_training : dnnl_forward_inference,
          algorithm, &sourceLayout, &destinationLayout, strides, window, padding, farPadding),
        "dnnl_pooling_forward_desc_init", layer: name)
      return try PrimitiveDescription(
        descriptor, attributes: planner.plain, engine: planner.engine, layer: name)
    }
    var description = try forward(source.layout)
    var layout = source.layout
    // In a layout without blocks of channels oneDNN may have no vector code (on AVX2: 114 instead
    // of 3 ms for AlexNet's pool1), and a copy into blocks costs little.
    for tag in [dnnl_nChw16c, dnnl_nChw8c] where !description.implementation.hasPrefix("jit") {
      let blocked = try TensorLayout.tagged(
        tag, planner.extents(plan.input), layout.type)
      let alternative = try forward(blocked)
      if alternative.implementation.hasPrefix("jit") {
        (description, layout) = (alternative, blocked)
      }
    }
    self.description = description
    self.source = try planner.reordered(source, to: layout, isPassing: true, name: name)
    destination = try planner.activation(description.layout(dnnl_query_dst_md))
    var arguments = [(DNNL_ARG_SRC, self.source), (DNNL_ARG_DST, destination)]
    let workspaceLayout = description.layout(dnnl_query_workspace_md)
    workspace = workspaceLayout.isAbsent ? nil : try planner.memory.kept(workspaceLayout)
    if let workspace { arguments.append((DNNL_ARG_WORKSPACE, workspace)) }
    try planner.append(description, arguments, name: name, step: "forward")
    overhang = try AverageOverhang(layer, plan, in: planner)
    try overhang?.plan(destination, into: destination, step: "forward-overhang", in: planner)
  }

  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory? {
    var gradient = try planner.reordered(gradient, to: destination.layout, name: name)
    if let overhang {
      let scaled = try planner.gradient(gradient.layout)
      try overhang.plan(gradient, into: scaled, step: "backward-overhang", in: planner)
      gradient = scaled
    }
    var descriptor = dnnl_pooling_desc_t()
    var sourceLayout = source.layout.descriptor
    var destinationLayout = destination.layout.descriptor
    try OneDNN.check(
      dnnl_pooling_backward_desc_init(
        &descriptor, algorithm, &sourceLayout, &destinationLayout, strides, window, padding,
        farPadding),
      "dnnl_pooling_backward_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, hint: description,
      layer: name)
    let inputGradient = try planner.gradient(source.layout)
    var arguments = [(DNNL_ARG_DIFF_DST, gradient), (DNNL_ARG_DIFF_SRC, inputGradient)]
    if let workspace { arguments.append((DNNL_ARG_WORKSPACE, workspace)) }
    try planner.append(backward, arguments, name: name, step: "backward")
    return inputGradient
  }
}
