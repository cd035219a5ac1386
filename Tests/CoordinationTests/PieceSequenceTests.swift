import Messages
import Testing

@testable import Coordination

@Suite struct PieceSequenceTests {
  private static func piece(_ number: Int, isLast: Bool = false) -> Slice {
    Slice(
      transfer: 1, number: number, part: .value, key: 0, firstRow: number, rows: 1, firstColumn: 0,
      columns: 2, isLast: isLast)
  }

  @Test func `pieces in order, some of them twice, are whole with the last`() {
    var pieces = PieceSequence()
    #expect(pieces.take(Self.piece(0)) == .next)
    #expect(pieces.take(Self.piece(0)) == .useless)
    #expect(pieces.take(Self.piece(1)) == .next)
    #expect(!pieces.isComplete)
    #expect(pieces.take(Self.piece(2, isLast: true)) == .next)
    #expect(pieces.isComplete)
    #expect(pieces.take(Self.piece(2, isLast: true)) == .useless)
  }

  @Test(arguments: 0..<3) func `with any piece lost they are never whole`(lost: Int) {
    var pieces = PieceSequence()
    var verdicts: [PieceSequence.Verdict] = []
    for number in 0..<5 where number != lost {
      verdicts.append(pieces.take(Self.piece(number, isLast: number == 4)))
    }
    #expect(!pieces.isComplete)
    #expect(verdicts.prefix(lost).allSatisfy { $0 == .next })
    #expect(verdicts[lost] == .gap)
    #expect(verdicts.dropFirst(lost + 1).allSatisfy { $0 == .useless })
    // What was lost comes late: a connection does not do that, and it mends nothing.
    #expect(pieces.take(Self.piece(lost)) == .useless)
  }
}
