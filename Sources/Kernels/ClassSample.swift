import Network
import Tensors

/// The classes of one node's slice that a training pass's loss is over: those of the batch, and
/// random others, each with the same probability.
///
/// Class `c` looks at word `c % 4` of position `c / 4` of the stream (seed, step): a function of the
/// run, never of the cut or of who draws it. It is in when the uniform number of its word is below
/// the rate, or a row has it as its label.
final class ClassSample {
  /// Of the classes that the node owns.
  private let own: Range<Int>
  private let seed: UInt64
  /// Words below this let their class in.
  private let threshold: UInt32
  /// `[own]`: 1 for those that are in.
  private let flags: AlignedBuffer
  /// Those that are in, ascending, counted from the first that the node owns.
  private(set) var indices: [Int32] = []

  /// - Parameter rate: above 0 and below 1.
  init(own: Range<Int>, rate: Float, seed: UInt64) {
    precondition(rate > 0 && rate < 1, "a sample at rate \(rate)")
    self.own = own
    self.seed = seed
    // uniform(word) = (word >> 9 + 0.5) / 2^23 < rate, solved for the word.
    threshold = UInt32(max((Double(rate) * 0x1p23 - 0.5).rounded(.up), 0)) << 9
    flags = AlignedBuffer(byteCount: own.count)
    indices.reserveCapacity(own.count)
  }

  var count: Int { indices.count }

  /// Draws the sample of a step for a batch, or for a sub-batch, with these labels.
  func draw(step: UInt64, labels: UnsafePointer<Int32>, rows: Int) {
    let flags = flags.bytes
    let stream = RandomStream(seed: seed, purpose: .classSample, first: step)
    var index = own.lowerBound
    while index < own.upperBound {
      let words = stream.words(UInt64(index / 4))
      let end = min((index / 4 + 1) * 4, own.upperBound)
      while index < end {
        flags[index - own.lowerBound] = words[index % 4] < threshold ? 1 : 0
        index += 1
      }
    }
    for row in 0..<rows where own.contains(Int(labels[row])) {
      flags[Int(labels[row]) - own.lowerBound] = 1
    }
    indices.removeAll(keepingCapacity: true)
    for index in 0..<own.count where flags[index] != 0 { indices.append(Int32(index)) }
  }

  /// How many of the sample are classes before this one.
  func position(of label: Int) -> Int {
    let wanted = label - own.lowerBound
    var (low, high) = (0, indices.count)
    while low < high {
      let middle = (low + high) / 2
      if Int(indices[middle]) < wanted { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
