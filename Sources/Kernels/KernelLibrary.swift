import COneDNN
package import Tensors

/// The oneDNN that is loaded.
package enum KernelLibrary {
  /// "2.6.3".
  package static var version: String {
    guard let version = dnnl_version()?.pointee else { return "unknown" }
    return "\(version.major).\(version.minor).\(version.patch)"
  }

  /// The number formats that this CPU computes in, as the library says: bf16 needs AVX-512.
  package static let precisions: Set<NumberFormat> = {
    var descriptor = dnnl_convolution_desc_t()
    let strides: [dnnl_dim_t] = [1, 1]
    let padding: [dnnl_dim_t] = [0, 0]
    guard let engine = try? Engine(), let attributes = try? Attributes(),
      var source = try? TensorLayout.any([1, 16, 8, 8], dnnl_bf16).descriptor,
      var destination = try? TensorLayout.any([1, 16, 8, 8], dnnl_bf16).descriptor,
      var weight = try? TensorLayout.any([16, 16, 1, 1], dnnl_bf16).descriptor,
      dnnl_convolution_forward_desc_init(
        &descriptor, dnnl_forward_training, dnnl_convolution_direct, &source, &weight, nil,
        &destination, strides, padding, padding) == dnnl_success,
      let description = try? PrimitiveDescription(
        descriptor, attributes: attributes, engine: engine, layer: "probe"),
      !description.implementation.hasPrefix("ref")
    else { return [.fp32] }
    return [.fp32, .bf16]
  }()

  /// - Parameter available: what the CPU can compute in.
  /// - Throws: `KernelError` if it cannot compute in `precision`, with what to do.
  package static func check(
    _ precision: NumberFormat, available: Set<NumberFormat> = precisions
  ) throws(KernelError) {
    guard !available.contains(precision) else { return }
    throw KernelError(
      call: "precision \(precision.rawValue)",
      reason: "oneDNN \(version) has it only for CPUs with AVX-512, which this one is not; set"
        + " precision: \"fp32\"")
  }
}
