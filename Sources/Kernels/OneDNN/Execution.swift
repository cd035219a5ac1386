import COneDNN

/// A primitive with its tensors: one entry of the program of a pass.
final class Execution {
  private let handle: dnnl_primitive_t
  private let arguments: [dnnl_exec_arg_t]
  /// The arguments hold bare handles; this keeps them valid.
  private let memories: [Memory]
  /// "conv1 forward", for errors.
  private let name: String

  init(
    _ description: PrimitiveDescription, _ arguments: [(Int32, Memory)], name: String
  ) throws(KernelError) {
    var handle: dnnl_primitive_t?
    try OneDNN.check(
      dnnl_primitive_create(&handle, description.handle), "dnnl_primitive_create", layer: name)
    guard let handle else {
      throw KernelError(call: "dnnl_primitive_create", reason: "no primitive", layer: name)
    }
    self.handle = handle
    self.arguments = arguments.map { dnnl_exec_arg_t(arg: $0.0, memory: $0.1.handle) }
    memories = arguments.map(\.1)
    self.name = name
  }

  deinit { dnnl_primitive_destroy(handle) }

  /// Computes.
  ///
  /// Every tensor was checked when the primitive was made and nothing is allocated here, so a
  /// failure is a mistake in the plan and stops the program.
  func run(on stream: Stream) {
    let status = dnnl_primitive_execute(
      handle, stream.handle, Int32(arguments.count), arguments)
    precondition(
      status == dnnl_success, "\(name): dnnl_primitive_execute: \(OneDNN.text(status))")
  }
}
