import Tensors

/// A parameterized conv layer with the layers that follow it up to the next one: the unit in which
/// the forward pass waits for parameters and the backward pass hands out gradients.
package struct ConvolutionalStage: Hashable, Sendable {
  /// Rank among the stages, from 0.
  package let index: Int
  /// Range in `NetworkPlan.convolutional`.
  package let layers: Range<Int>
  /// The parameter entries of the stage's conv layer (weight, bias); empty for layers that stand
  /// before the first conv layer.
  package let parameters: [ParameterTable.Entry]

  /// "conv1", or "input" for a stage without parameters.
  package var name: String { parameters.first?.layerName ?? "input" }
  /// Values in the stage's vector: weight elements, then bias elements.
  package var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }
}

extension NetworkPlan {
  /// The convolutional part as stages, first to last.
  package var stages: [ConvolutionalStage] {
    var starts: [Int] = []
    for (position, layer) in convolutional.enumerated() {
      if case .convolution = layer.operation { starts.append(position) }
    }
    if !convolutional.isEmpty, starts.first != 0 { starts.insert(0, at: 0) }
    return starts.enumerated().map { index, start in
      let end = index + 1 < starts.count ? starts[index + 1] : convolutional.count
      return ConvolutionalStage(
        index: index, layers: start..<end,
        parameters: Array(parameters.entries(ofLayer: convolutional[start].index)))
    }
  }
}

/// A piece of one stage's parameter vector (weight elements, then bias elements): what one push or
/// one parameters message carries.
package struct Chunk: Hashable, Sendable {
  /// Index in the chunk table.
  package let index: Int
  package let stage: Int
  /// Elements of the stage's vector.
  package let range: Range<Int>
  /// Ordinal within its stage, for people ("conv4, chunk 2").
  package let ordinal: Int
}

/// How the convolutional parameters travel: every stage cut into chunks of bounded size.
package struct ChunkTable: Hashable, Sendable {
  package let chunks: [Chunk]
  /// Chunk indices of each stage.
  package let ofStage: [Range<Int>]
  /// "conv1" ... of each stage.
  package let stageNames: [String]

  /// - Parameter maximumElements: larger means fewer messages, smaller means earlier overlap.
  package init(stages: [ConvolutionalStage], maximumElements: Int) {
    precondition(maximumElements > 0, "chunk size \(maximumElements)")
    var chunks: [Chunk] = []
    var ofStage: [Range<Int>] = []
    for stage in stages {
      let first = chunks.count
      var offset = 0
      while offset < stage.parameterCount {
        let end = min(offset + maximumElements, stage.parameterCount)
        chunks.append(
          Chunk(
            index: chunks.count, stage: stage.index, range: offset..<end,
            ordinal: chunks.count - first))
        offset = end
      }
      ofStage.append(first..<chunks.count)
    }
    self.chunks = chunks
    self.ofStage = ofStage
    stageNames = stages.map(\.name)
  }

  /// "conv4 chunk 2": a chunk's name in waits and logs.
  package func name(of index: Int) -> String {
    let chunk = chunks[index]
    return "\(stageNames[chunk.stage]) chunk \(chunk.ordinal)"
  }
}
