/// Where the parameters of one stage's convolution live, and how they get in and out.
final class StageParameters {
  private let weightCount: Int
  private let biasCount: Int
  /// The weights as they travel, `[out, in / groups, kh, kw]` row-major; the caller's memory.
  private let travelling: Memory
  private let bias: Memory
  private let biasGradient: Memory?
  /// Into the layouts of the forward and, if it differs, the backward pass.
  private let load: [Execution]
  private let store: Execution?

  init(
    weightCount: Int, biasCount: Int, travelling: Memory, bias: Memory, biasGradient: Memory?,
    load: [Execution], store: Execution?
  ) {
    self.weightCount = weightCount
    self.biasCount = biasCount
    self.travelling = travelling
    self.bias = bias
    self.biasGradient = biasGradient
    self.load = load
    self.store = store
  }

  /// Takes over weight elements, then bias elements.
  func set(from vector: UnsafePointer<Float>, on stream: Stream) {
    travelling.borrow(UnsafeMutableRawPointer(mutating: vector))
    for execution in load { execution.run(on: stream) }
    bias.floats.update(from: vector + weightCount, count: biasCount)
  }

  /// Writes the gradients in the same order, overwriting.
  func writeGradient(into vector: UnsafeMutablePointer<Float>, on stream: Stream) {
    guard let store, let biasGradient else {
      preconditionFailure("a gradient of a stack that was planned without training")
    }
    travelling.borrow(vector)
    store.run(on: stream)
    (vector + weightCount).update(from: biasGradient.floats, count: biasCount)
  }
}
