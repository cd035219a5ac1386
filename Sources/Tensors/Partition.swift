/// How `count` things are dealt to `parts` ranks in contiguous ranges: the first `count % parts`
/// ranks get one more (the rule of NumPy's `array_split`).
///
/// One rule cuts everything in Crosscut: the global batch into workers' shares and every FC
/// activation into FC nodes' slices.
package struct Partition: Hashable, Sendable {
  package let count: Int
  package let parts: Int

  /// - Parameters:
  ///   - count: how many things there are, at least 0.
  ///   - parts: how many ranks there are, at least 1. Ranks may get nothing.
  package init(count: Int, parts: Int) {
    precondition(count >= 0 && parts >= 1, "partition of \(count) into \(parts)")
    self.count = count
    self.parts = parts
  }

  /// The range that `rank` owns; empty when there are more ranks than things.
  package subscript(rank: Int) -> Range<Int> {
    precondition(rank >= 0 && rank < parts, "rank \(rank) of \(parts)")
    let base = count / parts
    let extra = count % parts
    let lower = rank * base + min(rank, extra)
    return lower..<(lower + base + (rank < extra ? 1 : 0))
  }

  /// The rank that owns `index`.
  package func owner(of index: Int) -> Int {
    precondition(index >= 0 && index < count, "index \(index) of \(count)")
    let base = count / parts
    let extra = count % parts
    let boundary = extra * (base + 1)
    return index < boundary ? index / (base + 1) : extra + (index - boundary) / base
  }

  package var ranges: [Range<Int>] { (0..<parts).map { self[$0] } }
}
