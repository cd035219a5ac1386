import Tensors

/// Threads that read and encode examples ahead of whoever writes them, in any order, and hand them
/// over in the order of the preparation.
final class PreparationWorkers: Sendable {
  /// One example, done.
  struct Result: Sendable {
    let label: Int
    let number: Int
    let name: String
    /// The encoded file; or why there is none.
    var file: [UInt8] = []
    var failure: DatasetError?
    /// `[H, W, C]`.
    var pixels: [UInt8] = []
    /// Sums of products of two channels.
    var products: [Double] = []
  }

  /// What is to be done, by position: which set, and which example of it.
  typealias Plan = @Sendable (Int) -> (part: PreparationSource.Part, index: Int)

  private struct State {
    var next: Int
    var taken: Int
    var results: [Int: Result] = [:]
    var isStopping = false
  }

  private let lock = Condition()
  /// Under `lock`.
  private nonisolated(unsafe) var state: State
  private let end: Int
  /// Results that may wait for the writer: more use more memory, fewer let a large picture hold up
  /// the other threads.
  private let ahead: Int
  /// Touched by `init` and `stop` only.
  private nonisolated(unsafe) var threads: [LoaderThread] = []

  /// Starts the threads.
  init(
    _ range: Range<Int>, threads count: Int, shape: Shape, encoding: PreparedDescription.Encoding,
    quality: Int, plan: @escaping Plan
  ) {
    state = State(next: range.lowerBound, taken: range.lowerBound)
    end = range.upperBound
    ahead = 8 * count
    threads = (0..<count).map { number in
      LoaderThread(name: "prepare \(number)") { [self] in
        var encoder: JPEGEncoder?
        while let position = take() {
          let (part, index) = plan(position)
          var result = Result(
            label: Int(part.source.label(index)), number: index, name: part.label(index))
          do throws(DatasetError) {
            if encoder == nil { encoder = try JPEGEncoder() }
            try Self.fill(
              &result, from: part.source, index, shape: shape, encoding: encoding,
              quality: quality, encoder)
          } catch {
            result.failure = error
          }
          put(result, at: position)
        }
      }
    }
  }

  private static func fill(
    _ result: inout Result, from source: any ExampleSource, _ index: Int, shape: Shape,
    encoding: PreparedDescription.Encoding, quality: Int, _ encoder: JPEGEncoder?
  ) throws(DatasetError) {
    var failure: DatasetError?
    let pixels = [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      do throws(DatasetError) {
        try source.writeBytes(index, into: buffer.baseAddress.unsafelyUnwrapped)
        count = shape.count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    switch encoding {
    case .raw: result.file = Pixmap.header(shape) + pixels
    case .jpeg:
      if let encoder {
        result.file = try encoder.encode(
          pixels, width: shape[2], height: shape[1], channels: shape[0], quality: quality)
      }
    }
    result.products = pixels.withUnsafeBufferPointer { PixelSums.products($0, channels: shape[0]) }
    result.pixels = pixels
  }

  private func take() -> Int? {
    lock.locked {
      while !state.isStopping, state.next < end, state.next - state.taken >= ahead { lock.wait() }
      guard !state.isStopping, state.next < end else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  private func put(_ result: Result, at position: Int) {
    lock.locked {
      state.results[position] = result
      // Nobody else is waited for.
      if position == state.taken { lock.wakeAll() }
    }
  }

  /// The result of a position, each in its turn; waits for it.
  func result(_ position: Int) -> Result {
    lock.locked {
      precondition(position == state.taken && position < end, "position \(position) out of turn")
      while true {
        if let result = state.results.removeValue(forKey: position) {
          state.taken += 1
          lock.wakeAll()
          return result
        }
        lock.wait()
      }
    }
  }

  /// Ends the threads and waits for them. Must be called, once.
  func stop() {
    lock.locked {
      state.isStopping = true
      lock.wakeAll()
    }
    for thread in threads { thread.join() }
  }
}
