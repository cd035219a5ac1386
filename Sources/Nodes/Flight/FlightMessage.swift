package import Messages
import Tensors
import Wire

/// Messages of a flight recorder: headers as they were, zeros for the tensors.
package enum FlightMessage {
  /// Zeros that all frames share.
  private static let zeros = Frame(copying: [UInt8](repeating: 0, count: Limits.frameBytes))

  /// The message of a record; `nil` if it is none, or breaks the contract.
  package static func decode(_ record: FlightRecord) -> Message? {
    guard record.kind == .received || record.kind == .sent,
      record.frames.allSatisfy({ $0 <= Limits.frameBytes })
    else { return nil }
    return try? WireCodec.decode(
      [Frame(copying: record.bytes)] + record.frames.map { zero(bytes: Int($0)) })
  }

  /// A frame of zeros.
  static func zero(bytes: Int = 4) -> Frame {
    Frame(adopting: UnsafeRawBufferPointer(rebasing: zeros.bytes[..<bytes])) { [zeros] in
      withExtendedLifetime(zeros) {}
    }
  }

  /// What a message decides, for people and to compare; `nil` of what the cores do not decide or
  /// what depends on the clock.
  package static func decision(_ message: Message) -> String? {
    switch message.body {
    case .view(let view):
      "view \(view.number) of \(view.workers.count) workers and \(view.fcNodes.count) fc nodes, turn"
        + " \(view.resumeTurn)" + (view.isFinal ? ", the last" : "")
    case .advance(let advance): "advance to turn \(advance.turn)"
    case .push(let push):
      "push of turn \(push.turn), " + (push.chunk.map { "chunk \($0)" } ?? "evaluated")
    case .parameters(let parameters):
      "parameters after \(parameters.version) steps, chunk \(parameters.chunk)"
    case .activations(let value):
      "features of turn \(value.turn), \(part(value.subBatch, value.block))"
    case .featureGradients(let value):
      "gradients of turn \(value.turn), \(part(value.subBatch, value.block))"
    case .exchange(let exchange):
      "exchange \(exchange.index) of turn \(exchange.turn), sub-batch \(exchange.subBatch)"
    case .report(let report): "report of turn \(report.turn)"
    case .collect(let collect): "collect \(collect.transfer) before turn \(collect.turn)"
    case .restore(let restore): "restore \(restore.transfer) after \(restore.steps) steps"
    case .stop(let stop): "stop: \(stop.reason)"
    case .goodbye: "goodbye"
    default: nil
    }
  }

  private static func part(_ subBatch: Int, _ block: RowBlock) -> String {
    "sub-batch \(subBatch), rows \(block.firstRow) to \(block.firstRow + block.rows - 1)"
  }
}
