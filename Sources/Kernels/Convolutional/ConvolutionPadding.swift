import COneDNN
import Network
import Tensors

/// The input of the first convolution with its zeros written out around it.
///
/// oneDNN's AVX2 code refuses padding with kernels wider than 7 and falls back to im2col and a
/// matrix product (measured for AlexNet's conv1 on 32 rows: 121 instead of 45 ms, and 113 ms more
/// in the pooling after it, for want of a blocked layout). Over padded images it needs no padding.
enum ConvolutionPadding {
  /// `[C, H + 2 padding, W + 2 padding]`, and what the last position reads beyond that.
  static func extents(_ input: Shape, _ layer: Convolution) -> Shape {
    func extent(_ size: Int) -> Int { size + 2 * layer.padding + layer.overhang(over: size) }
    return Shape(input[0], extent(input[1]), extent(input[2]))
  }

  /// Plans the copy of `source` into the middle of padded images whose borders stay zero.
  static func plan(
    _ source: Memory, _ input: Shape, _ layer: Convolution, name: String, in planner: StackPlanner
  ) throws(KernelError) -> Memory {
    let padded = try planner.memory.kept(
      try .plain(planner.extents(extents(input, layer))))
    var parent = padded.layout.descriptor
    var descriptor = dnnl_memory_desc_t()
    let offset = dnnl_dim_t(layer.padding)
    try OneDNN.check(
      dnnl_memory_desc_init_submemory(
        &descriptor, &parent, planner.extents(input).map { dnnl_dim_t($0) },
        [0, 0, offset, offset]),
      "dnnl_memory_desc_init_submemory", layer: name)
    let middle = try planner.memory.view(of: padded, as: TensorLayout(descriptor))
    try planner.appendReorder(source, to: middle, name: name)
    return padded
  }
}
