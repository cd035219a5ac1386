import COneDNN
import Tensors

/// The three matrix products of one fully connected layer as oneDNN primitives: of fp32 operands,
/// or of bf16 copies with sums in fp32.
///
/// Weights keep their row-major layout, because the optimizer, the wire and checkpoints use them:
/// oneDNN's blocked layouts would save 2 ms of a product and cost a copy of 20 (fc6, 32 rows, two
/// threads). All memory is planned at init. One thread only.
final class DenseProducts {
  /// What oneDNN chose: "forward brg:avx512_core_bf16".
  let implementations: [String]

  private let forwardProduct: Product
  private let backwardProduct: Product
  private let weightProduct: Product
  /// The same, added to what is there.
  private let addingWeightProduct: Product
  private let stream: Stream
  private let copies: Copies?

  /// One product with the tensors it is told to read and write.
  private struct Product {
    let left: Memory
    let right: Memory
    let target: Memory
    let execution: Execution

    func run(
      _ left: UnsafeRawPointer, _ right: UnsafeRawPointer,
      into target: UnsafeMutablePointer<Float>, on stream: Stream
    ) {
      self.left.borrow(UnsafeMutableRawPointer(mutating: left))
      self.right.borrow(UnsafeMutableRawPointer(mutating: right))
      self.target.borrow(target)
      execution.run(on: stream)
    }
  }

  /// A tensor's copy in bf16.
  private struct Copy {
    let source: Memory
    let execution: Execution
    let buffer: AlignedBuffer

    init(_ rows: Int, _ columns: Int, _ engine: Engine) throws(KernelError) {
      source = try Memory(try .plain([rows, columns]), engine)
      let target = try Memory(try .tagged(dnnl_ab, [rows, columns], dnnl_bf16), engine)
      buffer = AlignedBuffer(byteCount: target.layout.byteCount)
      try target.place(in: buffer)
      let description = try PrimitiveDescription(
        reorderFrom: source.layout, to: target.layout, attributes: try Attributes(),
        engine: engine, layer: "fc")
      execution = try Execution(
        description, [(DNNL_ARG_FROM, source), (DNNL_ARG_TO, target)], name: "fc reorder")
    }

    /// Makes the copy anew.
    func take(_ values: UnsafePointer<Float>, on stream: Stream) {
      source.borrow(UnsafeMutableRawPointer(mutating: values))
      execution.run(on: stream)
    }

    var address: UnsafeRawPointer { UnsafeRawPointer(buffer.floatPointer) }
  }

  private struct Copies {
    let input: Copy
    let gradient: Copy
    let weight: Copy
  }

  /// Plans products of `[rows, inputs]` with weights `[outputs, inputs]`, of gradients
  /// `[rows, outputs]` with the same, and of the two with each other.
  ///
  /// - Parameter lender: products of the same weights, whose copy of them these read.
  /// - Returns: `nil` where oneDNN has no better code than `dnnl_sgemm`'s (CPUs without AVX-512),
  ///   and for an empty matrix.
  init?(rows: Int, inputs: Int, outputs: Int, precision: NumberFormat, lender: DenseProducts?) {
    guard rows > 0, inputs > 0, outputs > 0 else { return nil }
    let type = precision == .bf16 ? dnnl_bf16 : dnnl_f32
    do throws(KernelError) {
      let planner = try Planner(type)
      stream = try Stream(planner.engine)
      forwardProduct = try planner.product(
        "forward", (rows, inputs, dnnl_ab), (inputs, outputs, dnnl_ba))
      backwardProduct = try planner.product(
        "backward-data", (rows, outputs, dnnl_ab), (outputs, inputs, dnnl_ab))
      weightProduct = try planner.product(
        "backward-weights", (outputs, rows, dnnl_ba), (rows, inputs, dnnl_ab))
      addingWeightProduct = try planner.product(
        "backward-weights added", (outputs, rows, dnnl_ba), (rows, inputs, dnnl_ab), adding: true)
      guard precision == .bf16 || planner.implementations.allSatisfy({ $0.contains(" brg") }),
        !planner.implementations.contains(where: { $0.contains(" ref") })
      else { return nil }
      implementations = planner.implementations
      try planner.allocate()
      guard precision == .bf16 else {
        copies = nil
        return
      }
      let weight: Copy
      if let lent = lender?.copies?.weight {
        weight = lent
      } else {
        weight = try Copy(outputs, inputs, planner.engine)
      }
      copies = Copies(
        input: try Copy(rows, inputs, planner.engine),
        gradient: try Copy(rows, outputs, planner.engine), weight: weight)
    } catch {
      return nil
    }
  }

  /// Takes over new weights; without effect where the caller's own are read.
  func takeWeights(_ weights: UnsafePointer<Float>) { copies?.weight.take(weights, on: stream) }

  /// `output[rows, outputs] = input[rows, inputs] weights^T`.
  func forward(
    _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    guard let copies else { return forwardProduct.run(input, weights, into: output, on: stream) }
    copies.input.take(input, on: stream)
    forwardProduct.run(copies.input.address, copies.weight.address, into: output, on: stream)
  }

  /// `inputGradient[rows, inputs] = gradient[rows, outputs] weights`.
  func backward(
    _ gradient: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    into inputGradient: UnsafeMutablePointer<Float>
  ) {
    guard let copies else {
      return backwardProduct.run(gradient, weights, into: inputGradient, on: stream)
    }
    copies.gradient.take(gradient, on: stream)
    backwardProduct.run(
      copies.gradient.address, copies.weight.address, into: inputGradient, on: stream)
  }

  /// Takes over what `forward` and `backward` would have been called with, where a pass of another
  /// node is copied and they are not.
  func takeFactors(_ gradient: UnsafePointer<Float>, _ input: UnsafePointer<Float>) {
    copies?.gradient.take(gradient, on: stream)
    copies?.input.take(input, on: stream)
  }

  /// `weightGradient[outputs, inputs] (+)= gradient^T input`, of the same gradient and input as the
  /// `forward` and `backward` before, or as `takeFactors`.
  func weightGradient(
    _ gradient: UnsafePointer<Float>, _ input: UnsafePointer<Float>,
    into weightGradient: UnsafeMutablePointer<Float>, adding: Bool
  ) {
    let product = adding ? addingWeightProduct : weightProduct
    guard let copies else {
      return product.run(gradient, input, into: weightGradient, on: stream)
    }
    product.run(
      copies.gradient.address, copies.input.address, into: weightGradient, on: stream)
  }

  /// Makes the products and their scratch memory, which they share.
  private final class Planner {
    let engine: Engine
    private let type: dnnl_data_type_t
    private let memory: MemoryPlan
    private(set) var implementations: [String] = []

    init(_ type: dnnl_data_type_t) throws(KernelError) {
      self.type = type
      engine = try Engine()
      memory = MemoryPlan(engine)
    }

    /// A product of two matrices, `dnnl_ab` for row-major and `dnnl_ba` for the transposed of one.
    func product(
      _ name: String, _ left: (rows: Int, columns: Int, order: dnnl_format_tag_t),
      _ right: (rows: Int, columns: Int, order: dnnl_format_tag_t), adding: Bool = false
    ) throws(KernelError) -> Product {
      let first = try TensorLayout.tagged(left.order, [left.rows, left.columns], type)
      let second = try TensorLayout.tagged(right.order, [right.rows, right.columns], type)
      let target = try TensorLayout.plain([left.rows, right.columns])
      var descriptor = dnnl_matmul_desc_t()
      var layouts = (first.descriptor, second.descriptor, target.descriptor)
      try OneDNN.check(
        dnnl_matmul_desc_init(&descriptor, &layouts.0, &layouts.1, nil, &layouts.2),
        "dnnl_matmul_desc_init", layer: name)
      let description = try PrimitiveDescription(
        descriptor, attributes: try Attributes(adding: adding), engine: engine, layer: name)
      implementations.append("\(name) \(description.implementation)")
      let tensors = (
        try Memory(first, engine), try Memory(second, engine), try Memory(target, engine)
      )
      var arguments = [
        (DNNL_ARG_SRC, tensors.0), (DNNL_ARG_WEIGHTS, tensors.1), (DNNL_ARG_DST, tensors.2),
      ]
      let scratchpad = description.layout(dnnl_query_scratchpad_md)
      if !scratchpad.isAbsent {
        arguments.append((DNNL_ARG_SCRATCHPAD, try memory.shared(scratchpad, .scratchpad)))
      }
      return Product(
        left: tensors.0, right: tensors.1, target: tensors.2,
        execution: try Execution(description, arguments, name: name))
    }

    func allocate() throws(KernelError) { _ = try memory.allocate() }
  }
}
