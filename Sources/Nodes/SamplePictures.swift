import Datasets
import Messages
import Tensors

/// Makes small pictures, for people to look at, of what a worker feeds to its network.
struct SamplePictures: Sendable {
  private let channels: Int
  private let height: Int
  private let width: Int
  /// Rows and columns of the input that a pixel of the picture is the mean of: as many, so that
  /// nothing is stretched, but where the input has fewer.
  private let rows: Int
  private let columns: Int
  private let names: Frame?

  /// - Parameters:
  ///   - input: `[channels, height, width]` of the network.
  ///   - classNames: of the data set; left out if they are too long to be sent along.
  init(input: Shape, classNames: [String]?) {
    channels = input[0]
    height = input[1]
    width = input[2]
    let scale = (max(height, width) + Limits.sampleSide - 1) / Limits.sampleSide
    (rows, columns) = (min(scale, height), min(scale, width))
    let text = (classNames ?? []).map { "\($0.replacing("\n", with: " "))\n" }.joined()
    names =
      text.isEmpty || text.utf8.count > Limits.logBytes ? nil : Frame(copying: Array(text.utf8))
  }

  /// The batch's pictures that belong to the first of the evaluation set; `nil` if none does.
  func make(_ batch: Batch, _ request: BatchRequest) -> (Pictures, [Frame])? {
    guard request.kind == .evaluation, request.firstPosition < UInt64(Limits.sampleRows) else {
      return nil
    }
    let first = Int(request.firstPosition)
    let most = min(request.rows, Limits.sampleRows - first)
    let labels = batch.labels.prefix(most).prefix { $0 >= 0 }
    guard !labels.isEmpty else { return nil }
    let pictures = Pictures(
      firstRow: first, rows: labels.count, channels: channels == 3 ? 3 : 1,
      height: height / rows, width: width / columns)
    let size = channels * height * width
    var pixels: [UInt8] = []
    for row in 0..<labels.count {
      guard let base = batch.images.baseAddress else { return nil }
      pixels += picture(base + row * size, pictures)
    }
    let frames = [Frame(copying: Array(labels)), Frame(copying: pixels)]
    return (pictures, frames + (names.map { [$0] } ?? []))
  }

  /// One picture, stretched over its own range: what the network sees is normalized, and how is
  /// not known here.
  private func picture(_ values: UnsafePointer<Float>, _ shape: Pictures) -> [UInt8] {
    var means: [Float] = []
    for y in 0..<shape.height {
      for x in 0..<shape.width {
        for channel in 0..<shape.channels {
          var sum: Float = 0
          for dy in 0..<rows {
            let line = (channel * height + y * rows + dy) * width + x * columns
            for index in line..<line + columns { sum += values[index] }
          }
          means.append(sum.isFinite ? sum / Float(rows * columns) : 0)
        }
      }
    }
    let low = means.min() ?? 0
    let high = means.max() ?? 0
    let factor = high > low ? 255 / (high - low) : 0
    return means.map { UInt8(clamping: Int((($0 - low) * factor).rounded())) }
  }
}
