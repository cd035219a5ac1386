import COneDNN

/// The library's status codes as errors.
enum OneDNN {
  /// Turns a status other than success into an error that names the call.
  static func check(
    _ status: dnnl_status_t, _ call: String, layer: String? = nil
  ) throws(KernelError) {
    guard status == dnnl_success else {
      throw KernelError(call: call, reason: text(status), layer: layer)
    }
  }

  /// "out_of_memory", "unimplemented", ...
  static func text(_ status: dnnl_status_t) -> String { String(cString: dnnl_status2str(status)) }
}

/// The CPU as oneDNN sees it.
final class Engine {
  let handle: dnnl_engine_t

  init() throws(KernelError) {
    var handle: dnnl_engine_t?
    try OneDNN.check(dnnl_engine_create(&handle, dnnl_cpu, 0), "dnnl_engine_create")
    guard let handle else { throw KernelError(call: "dnnl_engine_create", reason: "no engine") }
    self.handle = handle
  }

  deinit { dnnl_engine_destroy(handle) }
}

/// An in-order queue of primitives. With the OpenMP runtime a primitive has finished when its
/// execute call returns, so nothing ever waits for a stream.
final class Stream {
  let handle: dnnl_stream_t
  let engine: Engine

  init(_ engine: Engine) throws(KernelError) {
    var handle: dnnl_stream_t?
    try OneDNN.check(
      dnnl_stream_create(&handle, engine.handle, dnnl_stream_default_flags.rawValue),
      "dnnl_stream_create")
    guard let handle else { throw KernelError(call: "dnnl_stream_create", reason: "no stream") }
    self.handle = handle
    self.engine = engine
  }

  deinit { dnnl_stream_destroy(handle) }
}
