import COneDNN
import Tensors

/// A tensor that primitives read and write: a layout and where its bytes are.
final class Memory {
  let handle: dnnl_memory_t
  let layout: TensorLayout
  private var buffer: AlignedBuffer?

  /// A tensor without bytes yet.
  init(_ layout: TensorLayout, _ engine: Engine) throws(KernelError) {
    var descriptor = layout.descriptor
    var handle: dnnl_memory_t?
    // DNNL_MEMORY_NONE is a null handle: the library allocates nothing.
    try OneDNN.check(
      dnnl_memory_create(&handle, &descriptor, engine.handle, nil), "dnnl_memory_create")
    guard let handle else { throw KernelError(call: "dnnl_memory_create", reason: "no memory") }
    self.handle = handle
    self.layout = layout
  }

  deinit { dnnl_memory_destroy(handle) }

  /// Places the tensor at the start of `buffer`, which stays alive with it.
  func place(in buffer: AlignedBuffer) throws(KernelError) {
    precondition(buffer.bytes.count >= layout.byteCount, "a buffer smaller than its tensor")
    self.buffer = buffer
    try OneDNN.check(
      dnnl_memory_set_data_handle(handle, buffer.bytes.baseAddress), "dnnl_memory_set_data_handle")
  }

  /// Lends the caller's memory to the primitives that are executed before it is taken back.
  ///
  /// - Parameter address: room for `layout.byteCount` bytes.
  func borrow(_ address: UnsafeMutableRawPointer) {
    let status = dnnl_memory_set_data_handle(handle, address)
    precondition(
      status == dnnl_success, "dnnl_memory_set_data_handle: \(OneDNN.text(status))")
  }

  /// The tensor's floats in the order of its layout.
  ///
  /// - Precondition: the tensor was placed in a buffer.
  var floats: UnsafeMutablePointer<Float> { placement.floatPointer }

  /// The buffer that holds the tensor.
  ///
  /// - Precondition: the tensor was placed in a buffer.
  var placement: AlignedBuffer {
    guard let buffer else { preconditionFailure("a tensor that was never placed") }
    return buffer
  }
}
