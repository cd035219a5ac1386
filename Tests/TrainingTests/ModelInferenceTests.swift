import Configuration
import Foundation
import Testing

@testable import Training

/// Ten crops and the middle of 6x6 pictures, through a network that is one fc layer on 4x4, against
/// sums written out here.
@Suite(.serialized) struct ModelInferenceTests {
  private static let classes = 3
  private let folder: URL
  private let images: [[UInt8]]
  private let labels: [UInt8] = [2, 0, 1, 1]
  private let weights: [Float]

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "crosscut-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var images: [[UInt8]] = []
    for image in 0..<4 {
      var pixels: [UInt8] = []
      for pixel in 0..<36 {
        let level = pixel * 37 + image * 91 + pixel * pixel * (image + 3)
        pixels.append(UInt8(level % 256))
      }
      images.append(pixels)
    }
    self.images = images
    weights = (0..<Self.classes * 16).map { (index: Int) -> Float in
      Float((index * 29) % 17 - 8) / 8
    }
    func big(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
    var pictures: [UInt8] = []
    for part in [big(0x0803), big(4), big(6), big(6)] + images { pictures += part }
    for name in ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"] {
      try Data(pictures).write(to: folder.appending(path: name))
    }
    for name in ["train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"] {
      try Data(big(0x0801) + big(4) + labels).write(to: folder.appending(path: name))
    }
    // The conv layer is the identity.
    let tensors: [(String, [Int], [Float])] = [
      ("features.0.weight", [1, 1, 1, 1], [1]), ("features.0.bias", [1], [0]),
      ("classifier.0.weight", [Self.classes, 16], weights),
      ("classifier.0.bias", [Self.classes], [0.5, 0, -0.25]),
    ]
    let memory = tensors.map { _, _, values in
      let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: values.count)
      _ = buffer.initialize(from: values)
      return buffer
    }
    defer { for buffer in memory { buffer.deallocate() } }
    try SafeTensorsWriter().write(
      to: model, tensors: zip(tensors, memory).map { ($0.0, $0.1, UnsafeBufferPointer($1)) })
  }

  private var model: String { folder.appending(path: "model.safetensors").path }

  private func configuration(_ loss: String, batch: Int) throws -> RunConfiguration {
    try RunConfiguration.parse(
      text: """
        {
          network: { input: [1, 4, 4], loss: "\(loss)", layers: [
            { type: 'conv', channels: 1, kernel: 1 }, { type: 'fc', units: 3 } ] },
          dataset: { kind: 'idx', path: '\(folder.path)', normalize: 'none' },
          globalBatch: \(batch),
        }
        """, source: "test")
  }

  /// Probabilities of a view, mirrored or not.
  private func view(
    _ image: [UInt8], _ top: Int, _ left: Int, mirrored: Bool, _ loss: String
  ) -> [Double] {
    let bias = [0.5, 0, -0.25]
    let logits = (0..<Self.classes).map { unit in
      var sum = bias[unit]
      for y in 0..<4 {
        for x in 0..<4 {
          let pixel = image[(top + y) * 6 + left + (mirrored ? 3 - x : x)]
          sum += Double(weights[unit * 16 + y * 4 + x]) * Double(pixel) / 255
        }
      }
      return sum
    }
    guard loss == "softmax" else { return logits.map { 1 / (1 + exp(-$0)) } }
    let sum = logits.reduce(0) { $0 + exp($1) }
    return logits.map { exp($0) / sum }
  }

  private func expected(_ image: Int, tenCrops: Bool, _ loss: String) -> [Double] {
    guard tenCrops else { return view(images[image], 1, 1, mirrored: false, loss) }
    var mean = [Double](repeating: 0, count: Self.classes)
    for (top, left) in [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)] {
      for mirrored in [false, true] {
        for (unit, value) in view(images[image], top, left, mirrored: mirrored, loss).enumerated() {
          mean[unit] += value / 10
        }
      }
    }
    return mean
  }

  /// Batches that hold one example, some, and more than there are.
  @Test(
    arguments: ["softmax", "logistic"], [(false, 1), (false, 3), (true, 7), (true, 25), (true, 99)])
  func `probabilities are those of the middle, or the mean of ten crops`(
    loss: String, form: (tenCrops: Bool, batch: Int)
  ) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let inference = try ModelInference(
      of: model, configuration(loss, batch: form.batch), tenCrops: form.tenCrops, threads: 1)
    var seen: [Int] = []
    try inference.forEach { example, label, probabilities in
      seen.append(example)
      #expect(label == Int(labels[example]))
      let wanted = expected(example, tenCrops: form.tenCrops, loss)
      #expect(zip(probabilities, wanted).allSatisfy { abs($0 - $1) < 1e-6 }, "\(example)")
    }
    #expect(seen == [0, 1, 2, 3])
  }

  @Test(arguments: ["softmax", "logistic"])
  func `evaluation by ten crops counts and averages them`(loss: String) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let evaluation = try ModelEvaluation(
      tenCropsOf: model, configuration(loss, batch: 20), threads: 1)
    var (sum, right) = (0.0, 0)
    for image in images.indices {
      let p = expected(image, tenCrops: true, loss)
      let label = Int(labels[image])
      for unit in 0..<Self.classes where unit == label || loss == "logistic" {
        sum -= log(unit == label ? p[unit] : 1 - p[unit])
      }
      right += p[label] == p.max() ? 1 : 0
    }
    #expect(abs(evaluation.loss - sum / 4) < 1e-6)
    #expect(evaluation.top1 == right)
    #expect(evaluation.top5 == 4 && evaluation.examples == 4)
  }

  @Test func `a label's rank counts what is larger, and of equals those before it`() {
    defer { try? FileManager.default.removeItem(at: folder) }
    let values = [0.2, 0.4, 0.2, 0.1, 0.2]
    #expect((0..<5).map { ModelInference.rank(of: $0, values) } == [1, 0, 2, 4, 3])
    #expect(ModelInference.rank(of: 0, [.nan, 1, 2]) == 2)
  }
}
