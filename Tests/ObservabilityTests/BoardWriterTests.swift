import CZlib
import Foundation
import Synchronization
import Testing

@testable import Observability

@Suite struct BoardWriterTests {
  static let time = 1_700_000_000.25

  static func scratch() -> String { NSTemporaryDirectory() + "board-\(UUID().uuidString)" }

  static func writer(_ path: String) throws -> BoardWriter {
    try BoardWriter(path: path, clock: { time }, onFailure: { Issue.record("\($0)") })
  }

  static func histogram(_ values: [Float]) -> ValueHistogram {
    values.withUnsafeBufferPointer { ValueHistogram($0) }
  }

  @Test func `the file is what TensorBoard itself would write`() throws {
    let path = Self.scratch()
    defer { unlink(path) }
    let writer = try Self.writer(path)
    writer.append(configuration: "{ ä }\n")
    writer.append(
      MetricsLog.Training(
        step: 50, epoch: 1.5, loss: 0.1, accuracy: 0.5, learningRate: 0.01,
        imagesPerSecond: 1234.5, secondsSinceStart: 3))
    writer.append(
      MetricsLog.Evaluation(
        step: 3_000_000_000, epoch: 2, loss: .infinity, accuracy: 0.75, top5: nil,
        secondsSinceStart: 4))
    writer.append(
      filters: nil, histograms: [("conv1/weight", Self.histogram((0...40).map { Float($0) }))],
      step: 60)
    let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Golden/events.tfevents")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(contentsOf: golden))
  }

  @Test(
    arguments: [
      ("", 0), ("a", 0xC1D0_4330), ("123456789", 0xE306_9283),
      (String(repeating: "\0", count: 32), 0x8A91_36AA),
    ] as [(String, UInt32)])
  func `CRC-32C has the values of RFC 3720`(text: String, expected: UInt32) {
    #expect(Checksum.crc32c(Array(text.utf8)) == expected)
  }

  @Test func `parameters are due at the start and then every half minute`() throws {
    let path = Self.scratch()
    defer { unlink(path) }
    let time = Mutex(100.0)
    let writer = try BoardWriter(
      path: path, clock: { time.withLock { $0 } }, onFailure: { Issue.record("\($0)") })
    #expect(writer.wantsParameters)
    writer.append(filters: nil, histograms: [("w", Self.histogram([1]))], step: 1)
    #expect(!writer.wantsParameters)
    time.withLock { $0 += 30 }
    #expect(writer.wantsParameters)
  }

  @Test func `a full disk is reported once and disturbs nobody`() throws {
    let reports = Mutex<[String]>([])
    let writer = try BoardWriter(path: "/dev/full", clock: { 0 }) { text in
      reports.withLock { $0.append(text) }
    }
    for _ in 0..<3 { writer.append(configuration: "{}") }
    #expect(
      reports.withLock { $0 } == [
        "/dev/full: cannot be written: No space left on device; it ends there while training goes on"
      ])
  }

  // MARK: Histograms and images

  @Test(
    arguments: [
      [], [Float.nan], [1], [2, 2, 2], [-1, 1, .infinity, .nan], (0..<1000).map { sin(Float($0)) },
    ] as [[Float]])
  func `every finite value is in one bucket`(values: [Float]) {
    let histogram = Self.histogram(values)
    let finite = values.filter(\.isFinite)
    #expect(histogram.count == finite.count)
    #expect(histogram.counts.reduce(0, +) == Double(finite.count))
    #expect(histogram.limits == histogram.limits.sorted())
    #expect(histogram.limits.last.map { $0 == histogram.maximum } ?? finite.isEmpty)
    #expect(histogram.limits.count == histogram.counts.count)
  }

  @Test func `filters become a grid, each over its own range`() {
    let image = PixelImage(
      FilterSnapshot(
        layer: "conv1", step: 1, shape: [2, 1, 1, 2], groups: 1, values: [-1, 3, 0.25, 0.25]))
    #expect((image.width, image.height, image.channels) == (7, 3, 1))
    // A white frame; the second filter has no range and is grey.
    let white: [UInt8] = Array(repeating: 255, count: 7)
    #expect(image.pixels == white + [255, 0, 255, 255, 128, 128, 255] + white)
  }

  @Test func `three channels are colours, other numbers show their first`() {
    let color = PixelImage(
      FilterSnapshot(layer: "conv1", step: 1, shape: [1, 3, 1, 1], groups: 1, values: [0, 1, 2]))
    #expect(color.channels == 3)
    #expect(Array(color.pixels[12..<15]) == [0, 128, 255])
    let grey = PixelImage(
      FilterSnapshot(layer: "conv1", step: 1, shape: [1, 2, 1, 1], groups: 1, values: [0, 1]))
    #expect(grey.channels == 1)
  }

  @Test func `a PNG unpacks to its pixels`() throws {
    var image = PixelImage(width: 2, height: 3, channels: 3, fill: 7)
    image.pixels[4] = 200
    let png = image.png()
    #expect(png.prefix(8) == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    #expect(Array(png[16..<29]) == [0, 0, 0, 2, 0, 0, 0, 3, 8, 2, 0, 0, 0])
    let length = png[33..<37].reduce(0) { $0 << 8 | Int($1) }
    #expect(String(decoding: png[37..<41], as: UTF8.self) == "IDAT")
    let packed = Array(png[41..<41 + length])
    var rows = [UInt8](repeating: 0, count: 21)
    var size = UInt(rows.count)
    #expect(uncompress(&rows, &size, packed, UInt(packed.count)) == Z_OK)
    #expect(size == 21)
    for row in 0..<3 {
      #expect(rows[row * 7] == 0)
      #expect(Array(rows[row * 7 + 1..<row * 7 + 7]) == Array(image.pixels[row * 6..<row * 6 + 6]))
    }
  }
}
