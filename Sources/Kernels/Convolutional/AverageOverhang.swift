import COneDNN
import Network
import Tensors

/// The divisors of average pooling where the last window hangs over the padded edge.
///
/// PyTorch and Caffe divide such a window by the part that lies within the padded image, oneDNN
/// always by the whole window; multiplying its outputs by whole / part makes them agree. Only
/// pooling that rounds up has such windows.
final class AverageOverhang {
  private let name: String
  /// `[1, 1, OH, OW]`.
  private let factors: Memory

  /// - Returns: `nil` if every window lies within the padded image.
  init?(
    _ layer: Pooling, _ plan: NetworkPlan.Layer, in planner: StackPlanner
  ) throws(KernelError) {
    guard layer.kind == .average else { return nil }
    let parts = [1, 2].map { axis in
      (0..<plan.output[axis]).map { position in
        let start = position * layer.stride - layer.padding
        return min(start + layer.window, plan.input[axis] + layer.padding) - start
      }
    }
    let whole = layer.window
    guard parts.contains(where: { $0.contains { $0 < whole } }) else { return nil }
    name = plan.name
    factors = try planner.memory.kept(try .plain([1, 1, parts[0].count, parts[1].count]))
    let factors = factors
    planner.afterAllocation.append {
      for (row, height) in parts[0].enumerated() {
        for (column, width) in parts[1].enumerated() {
          factors.floats[row * parts[1].count + column] =
            Float(whole * whole) / Float(height * width)
        }
      }
    }
  }

  /// Plans `destination = source * factors`; both may be the same tensor.
  func plan(
    _ source: Memory, into destination: Memory, step: String, in planner: StackPlanner
  ) throws(KernelError) {
    var descriptor = dnnl_binary_desc_t()
    var sourceLayout = source.layout.descriptor
    var factorLayout = factors.layout.descriptor
    var destinationLayout = destination.layout.descriptor
    try OneDNN.check(
      dnnl_binary_desc_init(
        &descriptor, dnnl_binary_mul, &sourceLayout, &factorLayout, &destinationLayout),
      "dnnl_binary_desc_init", layer: name)
    let description = try PrimitiveDescription(
      descriptor, attributes: planner.plain, engine: planner.engine, layer: name)
    try planner.append(
      description,
      [
        (DNNL_ARG_SRC_0, source), (DNNL_ARG_SRC_1, factors), (DNNL_ARG_DST, destination),
      ], name: name, step: step)
  }
}
