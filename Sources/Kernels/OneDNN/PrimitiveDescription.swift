import COneDNN

/// What rides on a primitive besides its operation.
final class Attributes {
  let handle: dnnl_primitive_attr_t

  /// - Parameters:
  ///   - relu: `max(x, 0)` on the output before it is stored, which saves a pass over it.
  ///   - adding: the output is added to what is there.
  ///
  /// The scratchpad is ours: a step then allocates nothing, and all primitives share one.
  init(relu: Bool = false, adding: Bool = false) throws(KernelError) {
    var handle: dnnl_primitive_attr_t?
    try OneDNN.check(dnnl_primitive_attr_create(&handle), "dnnl_primitive_attr_create")
    guard let handle else {
      throw KernelError(call: "dnnl_primitive_attr_create", reason: "no attributes")
    }
    self.handle = handle
    try OneDNN.check(
      dnnl_primitive_attr_set_scratchpad_mode(handle, dnnl_scratchpad_mode_user),
      "dnnl_primitive_attr_set_scratchpad_mode")
    guard relu || adding else { return }
    var operations: dnnl_post_ops_t?
    try OneDNN.check(dnnl_post_ops_create(&operations), "dnnl_post_ops_create")
    defer { dnnl_post_ops_destroy(operations) }
    if adding {
      try OneDNN.check(dnnl_post_ops_append_sum(operations, 1), "dnnl_post_ops_append_sum")
    }
    if relu {
      try OneDNN.check(
        dnnl_post_ops_append_eltwise(operations, 1, dnnl_eltwise_relu, 0, 0),
        "dnnl_post_ops_append_eltwise")
    }
    // The attributes keep a copy of the operations.
    try OneDNN.check(
      dnnl_primitive_attr_set_post_ops(handle, operations), "dnnl_primitive_attr_set_post_ops")
  }

  deinit { dnnl_primitive_attr_destroy(handle) }
}

/// An operation with the implementation and the layouts that oneDNN chose for it.
final class PrimitiveDescription {
  let handle: dnnl_primitive_desc_t

  /// - Parameters:
  ///   - operation: one of the library's operation descriptors (a C struct of plain data).
  ///   - hint: the forward description, for a backward operation.
  init<Operation>(
    _ operation: Operation, attributes: Attributes, engine: Engine,
    hint: PrimitiveDescription? = nil, layer: String
  ) throws(KernelError) {
    var handle: dnnl_primitive_desc_t?
    let status = withUnsafePointer(to: operation) {
      dnnl_primitive_desc_create(
        &handle, UnsafeRawPointer($0), attributes.handle, engine.handle, hint?.handle)
    }
    try OneDNN.check(status, "dnnl_primitive_desc_create", layer: layer)
    guard let handle else {
      throw KernelError(call: "dnnl_primitive_desc_create", reason: "no description", layer: layer)
    }
    self.handle = handle
  }

  /// A copy from one layout to another.
  init(
    reorderFrom source: TensorLayout, to destination: TensorLayout, attributes: Attributes,
    engine: Engine, layer: String
  ) throws(KernelError) {
    var source = source.descriptor
    var destination = destination.descriptor
    var handle: dnnl_primitive_desc_t?
    try OneDNN.check(
      dnnl_reorder_primitive_desc_create(
        &handle, &source, engine.handle, &destination, engine.handle, attributes.handle),
      "dnnl_reorder_primitive_desc_create", layer: layer)
    guard let handle else {
      throw KernelError(
        call: "dnnl_reorder_primitive_desc_create", reason: "no description", layer: layer)
    }
    self.handle = handle
  }

  deinit { dnnl_primitive_desc_destroy(handle) }

  /// The chosen layout of a tensor of the operation (`dnnl_query_src_md`, ...).
  func layout(_ what: dnnl_query_t) -> TensorLayout {
    // The answer points into the description; the copy outlives it.
    guard let descriptor = dnnl_primitive_desc_query_md(handle, what, 0) else {
      return TensorLayout(dnnl_memory_desc_t())
    }
    return TensorLayout(descriptor.pointee)
  }

  /// "jit:avx512_core", "jit_wino_4x3:avx512_core", "ref:any", ...
  var implementation: String {
    var name: UnsafePointer<CChar>?
    let status = dnnl_primitive_desc_query(handle, dnnl_query_impl_info_str, 0, &name)
    guard status == dnnl_success, let name else { return "unknown" }
    return String(cString: name)
  }
}
