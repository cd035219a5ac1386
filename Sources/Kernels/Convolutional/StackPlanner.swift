import COneDNN
import Network
import Tensors

/// Writes the program of a stack: which primitive runs when, over which tensors.
///
/// Convolutions choose the layouts they are fastest in; activations stay in them, and in their
/// number format, from layer to layer, and a reorder is planned only where two neighbours disagree.
final class StackPlanner {
  let engine: Engine
  let rows: Int
  let training: Bool
  let algorithm: ConvolutionAlgorithm
  /// Of activations and their gradients from the first convolution on.
  let type: dnnl_data_type_t
  let memory: MemoryPlan
  let plain: Attributes
  let withReLU: Attributes

  /// The program of each stage.
  private(set) var forward: [[Execution]]
  private(set) var backward: [[Execution]]
  /// Where each stage's parameters and their gradients live; `nil` for a stage without.
  var parameters: [StageParameters?]
  private(set) var implementations: [(layer: String, implementation: String)] = []
  /// Writes constants into tensors that have no memory before `allocate`.
  var afterAllocation: [() -> Void] = []

  /// What is being planned.
  var stage = 0
  private(set) var pass = Pass.forward
  private var turns = (activation: 0, gradient: 0)
  /// The caller's gradient.
  private var outputGradient: Memory?

  enum Pass { case forward, backward }

  init(
    stages: Int, rows: Int, training: Bool, algorithm: ConvolutionAlgorithm,
    precision: NumberFormat, engine: Engine
  ) throws(KernelError) {
    self.engine = engine
    self.rows = rows
    self.training = training
    self.algorithm = algorithm
    type = precision == .bf16 ? dnnl_bf16 : dnnl_f32
    memory = MemoryPlan(engine)
    plain = try Attributes()
    withReLU = try Attributes(relu: true)
    forward = Array(repeating: [], count: stages)
    backward = Array(repeating: [], count: stages)
    parameters = Array(repeating: nil, count: stages)
  }

  /// Plans every layer of the convolutional part.
  ///
  /// - Parameters:
  ///   - input: `[rows, C, H, W]`, plain; never overwritten.
  ///   - outputGradient: of the last layer, plain, written by the caller; `nil` plans no backward.
  /// - Returns: the last layer's output in plain layout.
  func plan(
    _ plan: NetworkPlan, input: Memory, outputGradient: Memory?
  ) throws(KernelError) -> Memory {
    let stages = plan.stages
    var kernels: [(kernel: any LayerKernel, stage: Int)] = []
    var current = input
    pass = .forward
    for stage in stages {
      self.stage = stage.index
      var position = stage.layers.lowerBound
      while position < stage.layers.upperBound {
        let layer = plan.convolutional[position]
        var next: NetworkPlan.Layer?
        if position + 1 < stage.layers.upperBound { next = plan.convolutional[position + 1] }
        // In place where neither the caller nor a backward pass reads what would be overwritten.
        let overwritable = kernels.last.map { !(training && $0.kernel.rereadsDestination) } ?? false
        let lowest = !kernels.contains { $0.kernel is ConvolutionKernel }
        let (kernel, consumed) = try self.kernel(
          layer, followedBy: next, source: current, overwritable: overwritable,
          lowest: lowest)
        kernels.append((kernel, stage.index))
        current = kernel.destination
        position += consumed
      }
    }
    let features = try reordered(
      current,
      to: try .plain(extents(plan.convolutional.last?.output ?? plan.input)),
      kept: true, name: "features")
    if let outputGradient { try planBackward(kernels, from: outputGradient) }
    return features
  }

  /// The kernel of a layer, and how many layers it covers: a convolution takes a ReLU with it.
  private func kernel(
    _ layer: NetworkPlan.Layer, followedBy next: NetworkPlan.Layer?, source: Memory,
    overwritable: Bool, lowest: Bool
  ) throws(KernelError) -> (any LayerKernel, Int) {
    // Pooling's backward pass does not ask what was pooled.
    var isPassing = false
    if case .pooling = next?.operation { isPassing = true }
    switch layer.operation {
    case .convolution(let convolution):
      let relu = next?.operation == .activation(.relu)
      let kernel = try ConvolutionKernel(
        convolution, layer, fusedReLU: relu, lowest: lowest, isPassing: isPassing, source: source,
        in: self)
      return (kernel, relu ? 2 : 1)
    case .activation(let activation):
      return (
        try ActivationKernel(
          activation, layer, source: source, inPlace: overwritable, in: self), 1
      )
    case .pooling(let pooling):
      return (try PoolingKernel(pooling, layer, source: source, in: self), 1)
    case .localResponseNormalization(let normalization):
      return (
        try NormalizationKernel(
          normalization, layer, isPassing: isPassing, source: source, in: self), 1
      )
    case .fullyConnected, .dropout:
      throw KernelError(
        call: "ConvolutionStack", reason: "not a layer of the convolutional part",
        layer: layer.name)
    }
  }

  /// Last layer to first; nothing below the first convolution has parameters, so it is left out.
  private func planBackward(
    _ kernels: [(kernel: any LayerKernel, stage: Int)], from outputGradient: Memory
  ) throws(KernelError) {
    guard let lowest = kernels.firstIndex(where: { $0.kernel is ConvolutionKernel }) else { return }
    pass = .backward
    self.outputGradient = outputGradient
    var gradient = outputGradient
    for position in (lowest..<kernels.count).reversed() {
      stage = kernels[position].stage
      let below = try kernels[position].kernel.planBackward(
        from: gradient, needsInputGradient: position > lowest, in: self)
      guard let below else { return }
      gradient = below
    }
  }

  // MARK: Tensors

  /// Extents of a layer's tensor with the rows in front.
  func extents(_ shape: Shape) -> [Int] { [rows] + shape.extents }

  /// Gives every planned tensor its memory.
  ///
  /// - Returns: bytes allocated.
  func allocate() throws(KernelError) -> Int {
    let byteCount = try memory.allocate()
    for write in afterAllocation { write() }
    return byteCount
  }

  /// A new output of a layer.
  ///
  /// - Parameter isPassing: whether only the layer behind it reads it, and no backward pass: in
  ///   training it then lies where the gradients will, which are not there yet.
  func activation(
    _ layout: TensorLayout, isPassing: Bool = false
  ) throws(KernelError) -> Memory {
    if training { return isPassing ? try gradient(layout) : try memory.kept(layout) }
    turns.activation ^= 1
    return try memory.shared(layout, .activation(turns.activation))
  }

  /// A new gradient; the one planned before it stays intact.
  func gradient(_ layout: TensorLayout) throws(KernelError) -> Memory {
    turns.gradient ^= 1
    return try memory.shared(layout, .gradient(turns.gradient))
  }

  /// A tensor that is overwritten when the gradient that was planned last is.
  func beneathGradient(_ layout: TensorLayout) throws(KernelError) -> Memory {
    try memory.shared(layout, .gradient(turns.gradient))
  }

  /// Whether a layer may put its input's gradient where its output's gradient was: only the
  /// caller's own gradient is left alone.
  func mayOverwrite(_ gradient: Memory) -> Bool { gradient !== outputGradient }

  /// `source` itself if it is in `layout`, else a copy made at this point of the program.
  ///
  /// - Parameters:
  ///   - kept: a copy that outlives its reader; else `region` holds it.
  ///   - isPassing: whether no backward pass reads a copy that is made in a forward pass.
  func reordered(
    _ source: Memory, to layout: TensorLayout, kept: Bool = false,
    region: MemoryPlan.Region? = nil, isPassing: Bool = false, name: String
  ) throws(KernelError) -> Memory {
    guard !source.layout.matches(layout) else { return source }
    let copy: Memory
    if kept {
      copy = try memory.kept(layout)
    } else if let region {
      copy = try memory.shared(layout, region)
    } else {
      copy = try pass == .forward ? activation(layout, isPassing: isPassing) : gradient(layout)
    }
    try appendReorder(source, to: copy, name: name)
    return copy
  }

  /// A copy at this point of the program.
  func appendReorder(
    _ source: Memory, to destination: Memory, name: String
  ) throws(KernelError) {
    append(try reorder(source, to: destination, name: name))
  }

  // MARK: Program

  /// Appends a primitive to the program of the current stage and pass.
  func append(
    _ description: PrimitiveDescription, _ arguments: [(Int32, Memory)], name: String,
    step: String
  ) throws(KernelError) {
    implementations.append((name, "\(step) \(description.implementation)"))
    append(try execution(description, arguments, name: "\(name) \(step)"))
  }

  /// A copy from one tensor to another that is run apart from the two passes.
  func reorder(
    _ source: Memory, to destination: Memory, name: String
  ) throws(KernelError) -> Execution {
    let description = try PrimitiveDescription(
      reorderFrom: source.layout, to: destination.layout, attributes: plain, engine: engine,
      layer: name)
    return try execution(
      description, [(DNNL_ARG_FROM, source), (DNNL_ARG_TO, destination)], name: "\(name) reorder")
  }

  private func append(_ execution: Execution) {
    switch pass {
    case .forward: forward[stage].append(execution)
    case .backward: backward[stage].append(execution)
    }
  }

  private func execution(
    _ description: PrimitiveDescription, _ arguments: [(Int32, Memory)], name: String
  ) throws(KernelError) -> Execution {
    var arguments = arguments
    let scratchpad = description.layout(dnnl_query_scratchpad_md)
    if !scratchpad.isAbsent {
      arguments.append((DNNL_ARG_SCRATCHPAD, try memory.shared(scratchpad, .scratchpad)))
    }
    return try Execution(description, arguments, name: name)
  }
}
