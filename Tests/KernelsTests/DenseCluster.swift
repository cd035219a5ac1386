import Foundation
import Kernels
import Network
import Tensors

/// M dense slices in one thread, with an exchange that hands frames over and checks their sizes.
final class DenseCluster {
  let plan: NetworkPlan
  let cut: DenseCut
  let rows: Int
  let slices: [DenseSlice]
  /// Cuts what goes over the wire into pieces of this many floats, at odd addresses.
  var recut: Int?
  /// Exchanges in which other bytes came than the receiver expects.
  private(set) var wrongSizes: [String] = []
  private let pool = FramePool()

  init(
    _ plan: NetworkPlan, nodes: Int, rows: Int, seed: UInt64 = 7, precision: NumberFormat = .fp32
  ) {
    self.plan = plan
    self.rows = rows
    let cut = DenseCut(plan, nodes: nodes)
    self.cut = cut
    slices = (0..<nodes).map {
      DenseSlice(plan: plan, cut: cut, rank: $0, rows: rows, seed: seed, precision: precision)
    }
  }

  /// Memory taken for frames so far.
  var frameBytes: Int { pool.allocatedBytes }

  func run(_ pass: DensePass, features: [Float], labels: [Int32], positions: [UInt32]? = nil) {
    for (rank, slice) in slices.enumerated() {
      let own = cut.featureSlices[rank]
      for row in 0..<rows {
        for (index, unit) in own.enumerated() {
          slice.features[row * own.count + index] = features[row * plan.features + unit]
        }
        slice.labels[row] = labels[row]
        if let positions { slice.positions[row] = positions[row] }
      }
      slice.begin(pass)
    }
    let nodes = slices.count
    var inbox = [[[Frame]]](repeating: [], count: nodes)
    let segments = cut.segmentCount(training: pass.training)
    for segment in 0..<segments {
      for (rank, slice) in slices.enumerated() {
        slice.run(segment: segment, received: inbox[rank])
      }
      guard segment + 1 < segments else { break }
      inbox = (0..<nodes).map { receiver in
        (0..<nodes).map { sender in
          guard sender != receiver else { return [] }
          let frames = slices[sender].outgoing(exchange: segment, to: receiver, pool: pool)
          let bytes = frames.reduce(0) { $0 + $1.byteCount }
          let expected = slices[receiver].expectedBytes(exchange: segment, from: sender)
          if bytes != expected || frames.contains(where: { $0.byteCount > 4 << 20 }) {
            wrongSizes.append("\(segment): \(sender) to \(receiver): \(bytes), not \(expected)")
          }
          return recut.map { Self.cut(frames, every: $0) } ?? frames
        }
      }
    }
    if pass.training { for slice in slices { slice.computeParameterGradients() } }
  }

  private static func cut(_ frames: [Frame], every floats: Int) -> [Frame] {
    let bytes = frames.flatMap { Array($0.bytes) }
    return stride(from: 0, to: bytes.count, by: floats * 4).map { start in
      let piece = bytes[start..<min(start + floats * 4, bytes.count)]
      let whole = Frame(copying: [0] + piece)
      return Frame(adopting: .init(rebasing: whole.bytes[1...])) { _ = whole }
    }
  }

  /// `[rows, features]`, put together from the slices.
  var featureGradient: [Float] {
    var all = [Float](repeating: .nan, count: rows * plan.features)
    for (rank, slice) in slices.enumerated() {
      let own = cut.featureSlices[rank]
      for row in 0..<rows {
        for (index, unit) in own.enumerated() {
          all[row * plan.features + unit] = slice.featureGradient[row * own.count + index]
        }
      }
    }
    return all
  }

  /// Whole parameters or gradients by name, put together from the slices; NaN where nobody owns.
  func assembled(
    _ part: (OwnedParameter) -> UnsafeMutablePointer<Float>
  ) -> [String: [Float]] {
    var all: [String: [Float]] = [:]
    for entry in plan.parameters.entries where entry.dense {
      all[entry.name] = [Float](repeating: .nan, count: entry.shape.count)
    }
    visit { name, whole, piece, index in all[name]?[whole] = part(piece)[index] }
    return all
  }

  /// Sets whole parameters by name.
  func set(_ values: [String: [Float]]) {
    visit { name, whole, piece, index in
      if let value = values[name]?[whole] { piece.value[index] = value }
    }
  }

  private func visit(_ body: (String, Int, OwnedParameter, Int) -> Void) {
    for slice in slices {
      for piece in slice.parameters {
        var index = 0
        for row in piece.rows {
          for column in piece.columns {
            body(piece.entry.name, row * piece.fullColumns + column, piece, index)
            index += 1
          }
        }
      }
    }
  }

  /// Rank of the true class of each row, summed over the slices; -1 for padding.
  var ranks: [Int32] {
    var total = [Int32](repeating: 0, count: rows)
    for slice in slices {
      var counts = [Int32](repeating: 99, count: rows)
      counts.withUnsafeMutableBufferPointer {
        if let base = $0.baseAddress { slice.writeRanks(into: base) }
      }
      for row in 0..<rows { total[row] = counts[row] < 0 ? -1 : total[row] + counts[row] }
    }
    return total
  }
}

/// Networks, inputs and comparisons of the dense tests.
enum DenseFixture {
  static let forms = ["gather-input", "scatter-output", "mixed", "auto"]
  static let networks = ["dropout first", "uneven", "logistic", "sampled", "single"]

  static func plan(_ network: String, form: String) throws -> NetworkPlan {
    var count = 0
    func full(_ units: Int) -> LayerSpec {
      count += 1
      let chosen: FullyConnected.Form =
        switch form {
        case "gather-input": .gatherInput
        case "scatter-output": .scatterOutput
        case "mixed": count % 2 == 0 ? .gatherInput : .scatterOutput
        default: .auto
        }
      return LayerSpec(
        .fullyConnected(
          FullyConnected(units: units, form: chosen, weight: .kaiming, bias: .uniformFanIn)))
    }
    switch network {
    case "dropout first":
      return try NetworkPlan(
        input: Shape(13, 1, 1),
        layers: [
          LayerSpec(.dropout(Dropout(rate: 0.5))), full(11), LayerSpec(.activation(.relu)),
          LayerSpec(.dropout(Dropout(rate: 0.25))), full(9), LayerSpec(.activation(.tanh)),
          full(6),
        ])
    case "uneven", "logistic":
      return try NetworkPlan(
        input: Shape(2, 3, 3),
        layers: [
          full(3), LayerSpec(.activation(.sigmoid)),
          LayerSpec(.dropout(Dropout(rate: 0.3, scale: .evaluation))), full(17),
          LayerSpec(.activation(.tanh)), LayerSpec(.activation(.relu)), full(4),
        ], loss: network == "logistic" ? .logistic : .softmax)
    case "sampled":
      return try NetworkPlan(
        input: Shape(7, 1, 1),
        layers: [
          full(5), LayerSpec(.activation(.relu)),
          LayerSpec(.fullyConnected(FullyConnected(units: 23, bias: .uniformFanIn))),
        ], sampleRate: 0.3)
    default:
      return try NetworkPlan(input: Shape(3, 1, 1), layers: [full(2)])
    }
  }

  /// Reproducible numbers in -1 ..< 1.
  static func numbers(_ count: Int, salt: UInt64 = 1) -> [Float] {
    let stream = RandomStream(seed: salt, purpose: .synthetic)
    return (0..<count).map { 2 * RandomStream.uniform(stream.word(at: UInt64($0))) - 1 }
  }

  static func labels(_ rows: Int, classes: Int, padding: Int? = nil) -> [Int32] {
    (0..<rows).map { $0 == padding ? -1 : Int32(($0 * 7 + 3) % classes) }
  }

  /// Largest difference relative to the largest reference value.
  static func error(_ values: [Float], _ reference: [Double]) -> Double {
    guard values.count == reference.count else { return .infinity }
    let scale = max(reference.map(\.magnitude).max() ?? 0, 1e-6)
    return zip(values, reference).reduce(0) {
      let difference = (Double($1.0) - $1.1).magnitude / scale
      return difference.isNaN ? .infinity : max($0, difference)
    }
  }

  /// Arrays of a golden file by name.
  static func golden(_ file: String) throws -> [String: [Double]] {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Golden/\(file)")
    var arrays: [String: [Double]] = [:]
    for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
      let words = line.split(separator: " ")
      arrays[String(words[0])] = words.dropFirst().compactMap { Double($0) }
    }
    return arrays
  }
}
