import COneDNN
import Network
import Tensors

/// Local response normalization, across channels or within one.
///
/// oneDNN's backward pass wants what its forward pass in training notes down, up to twice the
/// input. It is computed anew before it is needed instead of kept through the step: so all layers
/// share its memory, and the forward pass writes nothing but its output.
final class NormalizationKernel: LayerKernel {
  let name: String
  let destination: Memory
  var rereadsDestination: Bool { false }

  private let source: Memory
  private let layer: LocalResponseNormalization
  private let algorithm: dnnl_alg_kind_t
  /// oneDNN divides alpha by the neighbours, as PyTorch and Caffe do and the 2012 paper does not.
  private let alpha: Float

  /// - Parameter isPassing: whether nobody but the layer behind it reads its output.
  init(
    _ layer: LocalResponseNormalization, _ plan: NetworkPlan.Layer, isPassing: Bool,
    source: Memory, in planner: StackPlanner
  ) throws(KernelError) {
    name = plan.name
    self.layer = layer
    self.source = source
    alpha = layer.divideBySize ? layer.alpha : layer.alpha * Float(layer.neighbours)
    algorithm =
      layer.region == .acrossChannels ? dnnl_lrn_across_channels : dnnl_lrn_within_channel
    let description = try Self.forward(
      dnnl_forward_inference, algorithm, layer, alpha, source, name: name, in: planner)
    destination = try planner.activation(
      description.layout(dnnl_query_dst_md), isPassing: isPassing)
    try planner.append(
      description, [(DNNL_ARG_SRC, source), (DNNL_ARG_DST, destination)], name: name,
      step: "forward")
  }

  private static func forward(
    _ kind: dnnl_prop_kind_t, _ algorithm: dnnl_alg_kind_t, _ layer: LocalResponseNormalization,
    _ alpha: Float, _ source: Memory, name: String, in planner: StackPlanner
  ) throws(KernelError) -> PrimitiveDescription {
    var descriptor = dnnl_lrn_desc_t()
    var layout = source.layout.descriptor
    try OneDNN.check(
      dnnl_lrn_forward_desc_init(
        &descriptor, kind, algorithm, &layout, dnnl_dim_t(layer.size), alpha, layer.beta, layer.k),
      "dnnl_lrn_forward_desc_init", layer: name)
    return try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, layer: name)
  }

  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory? {
    let gradient = try planner.reordered(gradient, to: destination.layout, name: name)
    let noting = try Self.forward(
      dnnl_forward_training, algorithm, layer, alpha, source, name: name, in: planner)
    var descriptor = dnnl_lrn_desc_t()
    var gradientLayout = destination.layout.descriptor
    var dataLayout = source.layout.descriptor
    try OneDNN.check(
      dnnl_lrn_backward_desc_init(
        &descriptor, algorithm, &gradientLayout, &dataLayout,
        dnnl_dim_t(layer.size), alpha, layer.beta, layer.k),
      "dnnl_lrn_backward_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, hint: noting, layer: name)
    let inputGradient = try planner.gradient(backward.layout(dnnl_query_diff_src_md))
    var arguments = [
      (DNNL_ARG_SRC, source), (DNNL_ARG_DIFF_DST, gradient), (DNNL_ARG_DIFF_SRC, inputGradient),
    ]
    let noted = noting.layout(dnnl_query_workspace_md)
    if !noted.isAbsent {
      let workspace = try planner.memory.shared(noted, .workspace)
      // The output comes out once more; nobody reads it.
      let output = try planner.beneathGradient(noting.layout(dnnl_query_dst_md))
      try planner.append(
        noting,
        [(DNNL_ARG_SRC, source), (DNNL_ARG_DST, output), (DNNL_ARG_WORKSPACE, workspace)],
        name: name, step: "forward-again")
      arguments.append((DNNL_ARG_WORKSPACE, workspace))
    }
    try planner.append(backward, arguments, name: name, step: "backward")
    return inputGradient
  }
}
