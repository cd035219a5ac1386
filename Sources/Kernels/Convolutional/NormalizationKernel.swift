import COneDNN
import Network
import Tensors

/// Local response normalization, across channels or within one.
final class NormalizationKernel: LayerKernel {
  let name: String
  let destination: Memory
  var rereadsDestination: Bool { false }

  private let source: Memory
  private let layer: LocalResponseNormalization
  private let algorithm: dnnl_alg_kind_t
  /// oneDNN divides alpha by the neighbours, as PyTorch and Caffe do and the 2012 paper does not.
  private let alpha: Float
  private let description: PrimitiveDescription
  private let workspace: Memory?

  init(
    _ layer: LocalResponseNormalization, _ plan: NetworkPlan.Layer, source: Memory,
    in planner: StackPlanner
  ) throws(KernelError) {
    name = plan.name
    self.layer = layer
    self.source = source
    var descriptor = dnnl_lrn_desc_t()
    var layout = source.layout.descriptor
    alpha = layer.divideBySize ? layer.alpha : layer.alpha * Float(layer.neighbours)
    algorithm =
      layer.region == .acrossChannels ? dnnl_lrn_across_channels : dnnl_lrn_within_channel
    try OneDNN.check(
      dnnl_lrn_forward_desc_init(
        &descriptor, planner.training ? dnnl_forward_training : dnnl_forward_inference,
        algorithm, &layout, dnnl_dim_t(layer.size), alpha, layer.beta, layer.k),
      "dnnl_lrn_forward_desc_init", layer: name)
    description = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, layer: name)
    destination = try planner.activation(description.layout(dnnl_query_dst_md))
    var arguments = [(DNNL_ARG_SRC, source), (DNNL_ARG_DST, destination)]
    let workspaceLayout = description.layout(dnnl_query_workspace_md)
    workspace = workspaceLayout.isAbsent ? nil : try planner.memory.kept(workspaceLayout)
    if let workspace { arguments.append((DNNL_ARG_WORKSPACE, workspace)) }
    try planner.append(description, arguments, name: name, step: "forward")
  }

  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory? {
    let gradient = try planner.reordered(gradient, to: destination.layout, name: name)
    var descriptor = dnnl_lrn_desc_t()
    var gradientLayout = destination.layout.descriptor
    var dataLayout = source.layout.descriptor
    try OneDNN.check(
      dnnl_lrn_backward_desc_init(
        &descriptor, algorithm, &gradientLayout, &dataLayout,
        dnnl_dim_t(layer.size), alpha, layer.beta, layer.k),
      "dnnl_lrn_backward_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, hint: description,
      layer: name)
    let inputGradient = try planner.gradient(backward.layout(dnnl_query_diff_src_md))
    var arguments = [
      (DNNL_ARG_SRC, source), (DNNL_ARG_DIFF_DST, gradient), (DNNL_ARG_DIFF_SRC, inputGradient),
    ]
    if let workspace { arguments.append((DNNL_ARG_WORKSPACE, workspace)) }
    try planner.append(backward, arguments, name: name, step: "backward")
    return inputGradient
  }
}
