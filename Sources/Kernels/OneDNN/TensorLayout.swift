import COneDNN

/// Extents of a tensor, their order in memory and the numbers' format (oneDNN: memory descriptor).
struct TensorLayout {
  /// 696 bytes of plain data; nothing to release.
  var descriptor: dnnl_memory_desc_t

  init(_ descriptor: dnnl_memory_desc_t) { self.descriptor = descriptor }

  /// Row-major floats.
  static func plain(_ extents: [Int]) throws(KernelError) -> TensorLayout {
    var strides = [dnnl_dim_t](repeating: 1, count: extents.count)
    for axis in extents.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * dnnl_dim_t(extents[axis + 1])
    }
    var descriptor = dnnl_memory_desc_t()
    try OneDNN.check(
      dnnl_memory_desc_init_by_strides(
        &descriptor, Int32(extents.count), extents.map { dnnl_dim_t($0) }, dnnl_f32, strides),
      "dnnl_memory_desc_init_by_strides")
    return TensorLayout(descriptor)
  }

  /// The order left open: the primitive chooses what it computes fastest.
  static func any(
    _ extents: [Int], _ type: dnnl_data_type_t
  ) throws(KernelError) -> TensorLayout {
    try tagged(dnnl_format_tag_any, extents, type)
  }

  /// One of oneDNN's named orders, e.g. `dnnl_nChw16c`: channels in blocks of 16, innermost.
  static func tagged(
    _ tag: dnnl_format_tag_t, _ extents: [Int], _ type: dnnl_data_type_t
  ) throws(KernelError) -> TensorLayout {
    var descriptor = dnnl_memory_desc_t()
    try OneDNN.check(
      dnnl_memory_desc_init_by_tag(
        &descriptor, Int32(extents.count), extents.map { dnnl_dim_t($0) }, type, tag),
      "dnnl_memory_desc_init_by_tag")
    return TensorLayout(descriptor)
  }

  /// Of each number: `dnnl_f32` or `dnnl_bf16`.
  var type: dnnl_data_type_t { descriptor.data_type }

  /// Size in memory, padding of blocked layouts included.
  var byteCount: Int { withUnsafePointer(to: descriptor) { dnnl_memory_desc_get_size($0) } }

  /// No tensor at all: a primitive without workspace or scratchpad answers so.
  var isAbsent: Bool { descriptor.ndims == 0 || byteCount == 0 }

  /// Whether both put every element at the same place in the same format.
  func matches(_ other: TensorLayout) -> Bool {
    withUnsafePointer(to: descriptor) { left in
      withUnsafePointer(to: other.descriptor) { right in
        dnnl_memory_desc_equal(left, right) != 0
      }
    }
  }
}
