import Messages
import Observability
import Tensors

/// Puts the workers' pictures of an evaluation and the FC nodes' guesses about them together.
///
/// Each comes from one node and nobody waits for any of them: what is shown is the newest step of
/// which all slices have said their guesses.
struct SampleDesk {
  private var shape: Pictures?
  private var pixels: [Int: [UInt8]] = [:]
  private var labels: [Int: Int] = [:]
  private var names: [String] = []
  private var step: UInt64 = 0
  private var rows = 0
  /// By rank, then row.
  private var guesses: [Int: [[SampleSnapshot.Guess]]] = [:]

  /// Takes in a worker's part.
  mutating func take(_ pictures: Pictures, _ frames: [Frame]) {
    guard frames.count >= 2 else { return }
    if let shape, shape.bytes != pictures.bytes || shape.width != pictures.width { pixels = [:] }
    shape = pictures
    let bytes = Array(frames[1].bytes)
    for index in 0..<pictures.rows {
      let row = pictures.firstRow + index
      labels[row] = Int(frames[0].int32s[index])
      pixels[row] = Array(bytes[index * pictures.bytes..<(index + 1) * pictures.bytes])
    }
    if frames.count > 2 {
      names = String(decoding: frames[2].bytes, as: UTF8.self).split(separator: "\n").map {
        String($0.prefix(60))
      }
    }
  }

  /// Takes in what the FC node of a rank holds likeliest.
  mutating func take(_ message: Guesses, _ frames: [Frame], rank: Int) {
    guard frames.count == 2 else { return }
    if message.step != step || message.rows != rows { guesses = [:] }
    step = message.step
    rows = message.rows
    guesses[rank] = (0..<message.rows).map { row in
      (0..<message.classes).map { place in
        let index = row * message.classes + place
        return SampleSnapshot.Guess(
          index: Int(frames[0].int32s[index]), probability: frames[1].floats[index])
      }
    }
  }

  /// What there is to show; `nil` until every slice and the first worker have come.
  ///
  /// - Parameter fcNodes: slices there are.
  func snapshot(fcNodes: Int) -> SampleSnapshot? {
    guard let shape, guesses.count == fcNodes else { return nil }
    let shown = (0..<rows).filter { pixels[$0] != nil }
    guard !shown.isEmpty else { return nil }
    return SampleSnapshot(
      step: step, height: shape.height, width: shape.width, channels: shape.channels,
      classNames: names,
      samples: shown.map { row in
        let all = guesses.sorted { $0.key < $1.key }.flatMap { $0.value[row] }
        // Of equal ones the lower class first, as the ranks count.
        let best = all.sorted {
          $0.probability > $1.probability || $0.probability == $1.probability && $0.index < $1.index
        }
        return .init(
          label: labels[row] ?? 0, pixels: pixels[row] ?? [],
          guesses: Array(best.prefix(Limits.sampleClasses)))
      })
  }
}
