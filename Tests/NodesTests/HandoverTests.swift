import Kernels
import Messages
import Network
import Tensors
import Testing

@testable import Nodes

@Suite struct HandoverTests {
  /// fc 1 of two: 5 of 10 rows of 7 columns, and their biases.
  private static func slice() throws -> DenseSlice {
    let plan = try NetworkPlan(
      input: Shape(7, 1, 1), layers: [LayerSpec(.fullyConnected(FullyConnected(units: 10)))])
    return DenseSlice(
      plan: plan, cut: DenseCut(plan, nodes: 2), rank: 1, rows: 2, seed: 3)
  }

  /// What a receiver would put together, by parameter and part; and how many parts there were.
  private static func receive(
    _ handover: inout Handover
  ) -> (values: [String: [Float]], parts: Int) {
    var values: [String: [Float]] = [:]
    var parts = 0
    while true {
      let part = handover.part()
      for (piece, frames) in part {
        let floats = frames.flatMap { Array($0.floats) }
        #expect(floats.count == piece.rows * piece.columns)
        values["\(piece.key) \(piece.part)", default: []] += floats
      }
      parts += 1
      if part.last?.0.isLast ?? true { break }
    }
    return (values, parts)
  }

  private static func content(_ slice: DenseSlice) -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    for parameter in slice.parameters {
      for part in Slice.Part.allCases {
        let source = part == .value ? parameter.value : parameter.velocity
        values["\(parameter.entry.key) \(part)"] = Array(
          UnsafeBufferPointer(start: source, count: parameter.count))
      }
    }
    return values
  }

  @Test func `slices that go out in parts are whole`() throws {
    let slice = try Self.slice()
    let whole = Self.content(slice)
    var handover = Handover(slice.parameters, transfer: 4, pieceBytes: 56, partBytes: 100)
    let received = Self.receive(&handover)
    #expect(received.values == whole)
    #expect(received.parts > 2)
    #expect(handover.part().isEmpty)
  }

  @Test func `parameters that change on the way are handed in as they were`() throws {
    let slice = try Self.slice()
    let whole = Self.content(slice)
    var handover = Handover(slice.parameters, transfer: 4, pieceBytes: 56, partBytes: 100)
    var copy = handover
    _ = copy.part()
    copy.copyRest()
    for parameter in slice.parameters {
      parameter.value.update(repeating: 9, count: parameter.count)
      parameter.velocity.update(repeating: 9, count: parameter.count)
    }
    let first = slice.parameters[0]
    // The first part had gone out already; what follows is the copy.
    let rest = Self.receive(&copy).values
    let key = "\(first.entry.key) \(Slice.Part.value)"
    let values = try #require(rest[key])
    #expect(!values.isEmpty && values == whole[key].map { Array($0.suffix(values.count)) })
    #expect(rest["\(first.entry.key) \(Slice.Part.velocity)"]?.allSatisfy { $0 == 0 } == true)
    // Without a copy the change would show.
    #expect(Self.receive(&handover).values[key]?.allSatisfy { $0 == 9 } == true)
  }
}
