import COneDNN
import Network
import Tensors

/// An elementwise non-linearity that no convolution took along.
final class ActivationKernel: LayerKernel {
  let name: String
  let destination: Memory
  /// All three derivatives are functions of the output: `y > 0`, `1 - y^2`, `y (1 - y)`.
  var rereadsDestination: Bool { true }

  private let activation: Activation

  init(
    _ activation: Activation, _ plan: NetworkPlan.Layer, source: Memory, inPlace: Bool,
    in planner: StackPlanner
  ) throws(KernelError) {
    name = plan.name
    self.activation = activation
    destination = try inPlace ? source : planner.activation(source.layout)
    try planner.append(
      try Self.forward(activation, source.layout, name: name, in: planner),
      [(DNNL_ARG_SRC, source), (DNNL_ARG_DST, destination)], name: name, step: "forward")
  }

  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory? {
    try Self.planBackward(
      activation, destination: destination, from: gradient, name: name, in: planner)
  }

  /// Plans `dx = dy * f'(x)`, with the derivative taken from the output `y`.
  static func planBackward(
    _ activation: Activation, destination: Memory, from gradient: Memory, name: String,
    in planner: StackPlanner
  ) throws(KernelError) -> Memory {
    let layout = destination.layout
    let gradient = try planner.reordered(gradient, to: layout, name: name)
    var descriptor = dnnl_eltwise_desc_t()
    var gradientLayout = layout.descriptor
    var dataLayout = layout.descriptor
    try OneDNN.check(
      dnnl_eltwise_backward_desc_init(
        &descriptor, algorithm(activation), &gradientLayout, &dataLayout, 0, 0),
      "dnnl_eltwise_backward_desc_init", layer: name)
    let backward = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine,
      hint: try forward(activation, layout, name: name, in: planner), layer: name)
    let inputGradient =
      planner.mayOverwrite(gradient) ? gradient : try planner.gradient(layout)
    try planner.append(
      backward,
      [
        (DNNL_ARG_DST, destination), (DNNL_ARG_DIFF_DST, gradient),
        (DNNL_ARG_DIFF_SRC, inputGradient),
      ], name: name, step: "backward")
    return inputGradient
  }

  private static func forward(
    _ activation: Activation, _ layout: TensorLayout, name: String, in planner: StackPlanner
  ) throws(KernelError) -> PrimitiveDescription {
    var descriptor = dnnl_eltwise_desc_t()
    var layout = layout.descriptor
    try OneDNN.check(
      dnnl_eltwise_forward_desc_init(
        &descriptor, planner.training ? dnnl_forward_training : dnnl_forward_inference,
        algorithm(activation), &layout, 0, 0),
      "dnnl_eltwise_forward_desc_init", layer: name)
    return try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, layer: name)
  }

  private static func algorithm(_ activation: Activation) -> dnnl_alg_kind_t {
    switch activation {
    case .relu: dnnl_eltwise_relu_use_dst_for_bwd
    case .tanh: dnnl_eltwise_tanh_use_dst_for_bwd
    case .sigmoid: dnnl_eltwise_logistic_use_dst_for_bwd
    }
  }
}
