import Tensors
import Testing

@Suite struct PartitionTests {
  @Test(arguments: [0, 1, 2, 3, 7, 8, 100, 4096], [1, 2, 3, 4, 7, 16])
  func `ranges are contiguous, cover everything and differ by one at most`(count: Int, parts: Int) {
    let partition = Partition(count: count, parts: parts)
    let ranges = partition.ranges
    #expect(ranges.count == parts)
    var next = 0
    for (rank, range) in ranges.enumerated() {
      #expect(range.lowerBound == next)
      #expect(partition[rank] == range)
      next = range.upperBound
      // The first ones get the extra.
      #expect(range.count == count / parts + (rank < count % parts ? 1 : 0))
      for index in range { #expect(partition.owner(of: index) == rank) }
    }
    #expect(next == count)
  }

  @Test func `more ranks than things leave the last with nothing`() {
    #expect(Partition(count: 2, parts: 4).ranges == [0..<1, 1..<2, 2..<2, 2..<2])
  }
}
