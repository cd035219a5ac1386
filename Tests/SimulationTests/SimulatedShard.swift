import Messages
import Network
import Tensors

@testable import Coordination

extension SimulatedNode {
  func perform(_ operation: ShardCore.Operation) -> ShardCore.Outcome {
    if broken { return .failed("simulated: out of memory") }
    switch operation {
    case .apply(let chunk, let gradients, let at):
      if let worker = gradients.firstIndex(where: { values([$0]).contains(ToyModel.notFinite) }) {
        return .notFinite(worker: worker, what: "its gradient is nan")
      }
      return .applied(frame(step(chunk, gradients, at: at)))
    case .commit:
      swap(&chunks, &working)
      return .done
    case .snapshot: return .snapshot(owned.map { frame(chunks[$0]) })
    case .collect(let transfer): return .slices(pieces(of: owned, chunks, transfer))
    case .redraw:
      chunks = model.chunkSizes.indices.map(model.initialChunk)
      return .done
    case .place(let slice, let frames):
      guard slice.part == .value else { return .done }
      for (offset, value) in values(frames).enumerated() {
        chunks[slice.key - 1][slice.firstColumn + offset] = value
      }
      return .done
    }
  }

  private var owned: [Int] { shard?.chunks ?? [] }

  /// Steps a chunk into the working version.
  func step(_ chunk: Int, _ gradients: [Frame], at step: UInt64) -> [Int32] {
    var sum = Array(repeating: Int32(0), count: model.chunkSizes[chunk])
    for gradient in gradients {
      for (index, value) in values([gradient]).enumerated() { sum[index] &+= value }
    }
    let rate = rates.rate(at: step)
    working[chunk] = zip(chunks[chunk], sum).map { model.step($0, $1, rate: rate) }
    return working[chunk]
  }

  /// Of the chunks of a shard, in pieces of one value; a chunk's key is its index plus 1.
  func pieces(
    of owned: [Int], _ chunks: [[Int32]], _ transfer: UInt32
  ) -> [(Slice, [Frame])] {
    var pieces: [(Slice, [Frame])] = []
    for chunk in owned {
      for (index, value) in chunks[chunk].enumerated() {
        for part in Slice.Part.allCases {
          let slice = Slice(
            transfer: transfer, number: pieces.count, part: part, key: chunk + 1, firstRow: 0,
            rows: 1, firstColumn: index, columns: 1, isLast: false)
          pieces.append((slice, [frame([part == .value ? value : 0])]))
        }
      }
    }
    pieces[pieces.count - 1].0.isLast = true
    return pieces
  }
}
