import Tensors

/// Where every tensor of a stack lives; all of it is allocated at once, before the first step.
final class MemoryPlan {
  /// Tensors of one shared region start at the same address: only one of them is alive at a time.
  enum Region: Hashable {
    /// Working memory of whichever primitive runs.
    case scratchpad
    /// Outputs of layers when no backward pass will read them again: two regions in turn.
    case activation(Int)
    /// Gradients of activations: read from one region, written to the other. Before them, outputs
    /// that only the next layer reads.
    case gradient(Int)
    /// What a primitive notes down for the one that runs next.
    case workspace
    /// A copy in another layout that a single primitive reads at once.
    case reordered(Int)
  }

  private let engine: Engine
  private var kept: [Memory] = []
  private var shared: [Region: [Memory]] = [:]
  private var views: [(view: Memory, whole: Memory)] = []

  init(_ engine: Engine) { self.engine = engine }

  /// A tensor that keeps its contents from one pass to the next.
  func kept(_ layout: TensorLayout) throws(KernelError) -> Memory {
    let memory = try Memory(layout, engine)
    kept.append(memory)
    return memory
  }

  /// A tensor that lives until the next one of its region is written.
  func shared(_ layout: TensorLayout, _ region: Region) throws(KernelError) -> Memory {
    let memory = try Memory(layout, engine)
    shared[region, default: []].append(memory)
    return memory
  }

  /// A second look at a part of a kept tensor.
  func view(of whole: Memory, as layout: TensorLayout) throws(KernelError) -> Memory {
    let view = try Memory(layout, engine)
    views.append((view, whole))
    return view
  }

  /// Allocates the memory of every tensor planned so far.
  ///
  /// - Returns: its size in bytes.
  func allocate() throws(KernelError) -> Int {
    var total = 0
    for memory in kept {
      let buffer = AlignedBuffer(byteCount: memory.layout.byteCount)
      try memory.place(in: buffer)
      total += buffer.bytes.count
    }
    for memories in shared.values {
      let buffer = AlignedBuffer(byteCount: memories.map(\.layout.byteCount).max() ?? 0)
      for memory in memories { try memory.place(in: buffer) }
      total += buffer.bytes.count
    }
    for (view, whole) in views { try view.place(in: whole.placement) }
    return total
  }
}
