import Tensors

/// Which parameter server owns which chunk of the convolutional parameters: spread so that each
/// holds, and so receives and sends, about as many bytes.
///
/// A function of the chunk table and the number of shards alone, so that every process has the same.
package struct ShardMap: Hashable, Sendable {
  /// The shard of each chunk, by the chunk's index.
  package let owner: [Int]
  /// Chunk indices of each shard, ascending. Shard 0 is the coordinator; one may own nothing only
  /// where there are more shards than chunks.
  package let chunks: [[Int]]
  /// Values that each shard owns.
  package let elements: [Int]

  /// S.
  package var count: Int { chunks.count }

  /// Gives the largest chunks first, each to who has least so far: no shard has more than 4/3 of
  /// what the best cut would give it.
  ///
  /// - Parameter count: shards; at least 1.
  package init(_ table: ChunkTable, count: Int) {
    precondition(count >= 1, "\(count) server shards")
    var owner = Array(repeating: 0, count: table.chunks.count)
    var chunks = Array(repeating: [Int](), count: count)
    var elements = Array(repeating: 0, count: count)
    let bySize = table.chunks.sorted {
      ($1.range.count, $0.index) < ($0.range.count, $1.index)
    }
    for chunk in bySize {
      let shard = elements.indices.min { (elements[$0], $0) < (elements[$1], $1) } ?? 0
      owner[chunk.index] = shard
      chunks[shard].append(chunk.index)
      elements[shard] += chunk.range.count
    }
    self.owner = owner
    self.chunks = chunks.map { $0.sorted() }
    self.elements = elements
  }
}

extension ConvolutionalStage {
  /// A part of a parameter within a range of the stage's vector.
  package struct Part: Hashable, Sendable {
    package let entry: ParameterTable.Entry
    /// Elements of the flattened parameter.
    package let elements: Range<Int>
    /// Where they begin in the stage's vector.
    package let offset: Int
  }

  /// The parameters that a range of the stage's vector touches, in the table's order.
  package func parts(of range: Range<Int>) -> [Part] {
    var parts: [Part] = []
    var first = 0
    for entry in parameters {
      let part = range.clamped(to: first..<first + entry.shape.count)
      if !part.isEmpty {
        parts.append(
          Part(
            entry: entry, elements: part.lowerBound - first..<part.upperBound - first,
            offset: part.lowerBound))
      }
      first += entry.shape.count
    }
    return parts
  }
}
