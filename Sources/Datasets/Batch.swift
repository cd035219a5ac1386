import Tensors

/// The examples a worker wants: its share of a global batch, or of a turn of evaluation.
package struct BatchRequest: Hashable, Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    /// From the training set in the order of `ExampleOrder`.
    case training
    /// From the test set in its own order, its central crops.
    case evaluation
    /// Row p is view p % 10 (`ViewMaker.crop`) of example p / 10 of the test set: averaging an
    /// example's ten rows of probabilities gives the 2012 paper's prediction (section 4.1).
    case tenCrops
  }

  package let kind: Kind
  /// Position of the share's first row in the stream of training data (step x global batch +
  /// place in the batch), or the test set's index of the first row (times ten for ten crops).
  package let firstPosition: UInt64
  /// May be 0: a worker without a share.
  package let rows: Int

  package init(kind: Kind, firstPosition: UInt64, rows: Int) {
    precondition(rows >= 0, "a batch of \(rows) rows")
    self.kind = kind
    self.firstPosition = firstPosition
    self.rows = rows
  }

  package var description: String {
    let kind =
      switch kind {
      case .training: "training"
      case .evaluation: "evaluation"
      case .tenCrops: "ten-crop"
      }
    return "\(rows) \(kind) rows from \(firstPosition)"
  }
}

/// Examples in memory, normalized and ready for the first layer.
///
/// `@unchecked Sendable`: at any time one side owns it, the loader's thread until `take` returns
/// it and the taker until `recycle`; both hand over under the loader's lock.
package final class Batch: @unchecked Sendable {
  package private(set) var request: BatchRequest
  private var imageMemory: AlignedBuffer
  private var labelMemory: AlignedBuffer
  private(set) var capacity: Int
  /// Floats of one example.
  let exampleCount: Int

  init(request: BatchRequest, exampleCount: Int) {
    self.request = request
    self.exampleCount = exampleCount
    capacity = request.rows
    imageMemory = AlignedBuffer(floats: request.rows * exampleCount)
    labelMemory = AlignedBuffer(byteCount: request.rows * MemoryLayout<Int32>.stride)
  }

  /// `[rows, C, H, W]` floats, 64-byte aligned. Valid until the batch is recycled.
  package var images: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      start: imageMemory.floatPointer, count: request.rows * exampleCount)
  }

  /// `[rows]` classes, -1 for rows beyond the test set. Valid until the batch is recycled.
  package var labels: UnsafeMutableBufferPointer<Int32> {
    UnsafeMutableBufferPointer(
      start: labelMemory.bytes.bindMemory(to: Int32.self).baseAddress, count: request.rows)
  }

  /// Makes the memory serve another request; allocates only if it has more rows than ever before.
  ///
  /// - Returns: bytes newly allocated.
  func reuse(for request: BatchRequest) -> Int {
    self.request = request
    guard request.rows > capacity else { return 0 }
    capacity = request.rows
    imageMemory = AlignedBuffer(floats: capacity * exampleCount)
    labelMemory = AlignedBuffer(byteCount: capacity * MemoryLayout<Int32>.stride)
    return byteCount
  }

  /// Bytes held.
  var byteCount: Int { imageMemory.bytes.count + labelMemory.bytes.count }
}
