import COneDNN
import Tensors

/// The three matrix products of a fully connected layer, over oneDNN's `dnnl_sgemm`: for CPUs
/// without AVX-512, where primitives on the same plain layouts call the same kernels (fc6, batch
/// 128, AVX2, one thread: 131, 252, 111 ms for both). Elsewhere `DenseProducts` is faster.
///
/// All matrices are row-major and contiguous. One thread only: the scratch memory is not guarded.
final class GEMM {
  /// Rows of the matrix that are copied at a time when its rows alias.
  private static let panelRows = 256
  /// Floats that are added to an aliasing row: one cache line.
  private static let pad = 16

  private let panel: AlignedBuffer?

  /// Plans the scratch memory.
  ///
  /// - Parameter widths: columns of the right-hand matrices that `multiply` will see.
  init(widths: [Int]) {
    let widest = widths.filter(Self.aliases).max()
    panel = widest.map { AlignedBuffer(floats: Self.panelRows * ($0 + Self.pad)) }
  }

  /// Whether rows of this many floats fall into the same few cache sets one below the other.
  ///
  /// `dnnl_sgemm` then reads an untransposed right-hand matrix at half its rate (fc6's 9216
  /// columns: 252 ms against 118 ms; 4608: 87 against 59; 2304: no difference).
  static func aliases(_ columns: Int) -> Bool { columns > 0 && columns % 512 == 0 }

  /// `c[m, n] = a[m, k] b[n, k]^T`: the forward pass.
  func multiplyTransposed(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
    m: Int, n: Int, k: Int
  ) {
    guard m > 0, n > 0 else { return }
    guard k > 0 else { return c.update(repeating: 0, count: m * n) }
    call("N", "T", m, n, k, a, k, b, k, 0, c, n)
  }

  /// `c[m, n] = a[m, k] b[k, n]`: the gradient of the inputs.
  func multiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
    m: Int, n: Int, k: Int
  ) {
    guard m > 0, n > 0 else { return }
    guard k > 0 else { return c.update(repeating: 0, count: m * n) }
    guard let panel, Self.aliases(n) else { return call("N", "N", m, n, k, a, k, b, n, 0, c, n) }
    // Panels with padded rows: the copy costs 7 % of what the aliasing does.
    let stride = n + Self.pad
    precondition(panel.floats.count >= Self.panelRows * stride, "panel too small for \(n) columns")
    let scratch = panel.floatPointer
    for first in Swift.stride(from: 0, to: k, by: Self.panelRows) {
      let count = min(Self.panelRows, k - first)
      for row in 0..<count {
        (scratch + row * stride).update(from: b + (first + row) * n, count: n)
      }
      call("N", "N", m, n, count, a + first, k, scratch, stride, first == 0 ? 0 : 1, c, n)
    }
  }

  /// `c[m, n] (+)= scale a[k, m]^T b[k, n]`: the gradient of the weights.
  func transposedMultiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>,
    m: Int, n: Int, k: Int, accumulate: Bool, scale: Float = 1
  ) {
    guard m > 0, n > 0 else { return }
    call("T", "N", m, n, k, a, m, b, n, accumulate ? 1 : 0, c, n, scale)
  }

  private func call(
    _ transposeA: UnicodeScalar, _ transposeB: UnicodeScalar, _ m: Int, _ n: Int, _ k: Int,
    _ a: UnsafePointer<Float>, _ strideA: Int, _ b: UnsafePointer<Float>, _ strideB: Int,
    _ beta: Float, _ c: UnsafeMutablePointer<Float>, _ strideC: Int, _ alpha: Float = 1
  ) {
    let status = dnnl_sgemm(
      CChar(truncatingIfNeeded: transposeA.value), CChar(truncatingIfNeeded: transposeB.value),
      dnnl_dim_t(m), dnnl_dim_t(n), dnnl_dim_t(k), alpha, a, dnnl_dim_t(strideA), b,
      dnnl_dim_t(strideB), beta, c, dnnl_dim_t(strideC))
    precondition(status == dnnl_success, "dnnl_sgemm(\(m), \(n), \(k)): status \(status.rawValue)")
  }
}
