/// One layer of a stack: planned forward when made, backward on demand.
protocol LayerKernel {
  /// "conv1", "pool2".
  var name: String { get }
  /// The layer's output.
  var destination: Memory { get }
  /// Whether the backward pass reads `destination`, so that nothing may overwrite it before.
  var rereadsDestination: Bool { get }

  /// Plans the backward pass of this layer.
  ///
  /// - Parameters:
  ///   - gradient: of the output, in any layout.
  ///   - needsInputGradient: whether anything below has parameters.
  /// - Returns: the gradient of the input, in any layout; `nil` if it is not needed.
  func planBackward(
    from gradient: Memory, needsInputGradient: Bool, in planner: StackPlanner
  ) throws(KernelError) -> Memory?
}
