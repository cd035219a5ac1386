import DurableFiles
import Foundation
import Testing

@testable import Training

@Suite struct SafeTensorsTests {
  /// A directory of its own for each test, gone with it.
  private final class Scratch {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("crosscut-\(UUID().uuidString)")
    init() throws {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: url) }
    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
  }

  private static let weight: [Float] = [1, -2.5, .infinity, .leastNonzeroMagnitude, 0, -0.0]

  private func writeSample(_ path: String, metadata: [String: String] = [:]) throws {
    let bias: [Float] = [7]
    try Self.weight.withUnsafeBufferPointer { weight in
      try bias.withUnsafeBufferPointer { bias in
        try SafeTensorsWriter().write(
          to: path,
          tensors: [
            (name: "classifier.1.weight", shape: [2, 3], data: weight),
            (name: "a \"quoted\" \\ name\n", shape: [], data: bias),
            (name: "classifier.1.empty", shape: [0, 4], data: .init(rebasing: weight[0..<0])),
          ], metadata: metadata)
      }
    }
  }

  private func file(
    _ scratch: Scratch, header: String, data: [UInt8] = [], length: UInt64? = nil
  ) throws -> String {
    let length = length ?? UInt64(header.utf8.count)
    let prefix = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
    let path = scratch.path("hostile.safetensors")
    try Data(prefix + Array(header.utf8) + data).write(to: URL(fileURLWithPath: path))
    return path
  }

  private func refusal(_ path: String) -> String? {
    do throws(SafeTensorsError) {
      _ = try SafeTensorsReader(path: path)
      return nil
    } catch {
      return error.description
    }
  }

  @Test func `what was written is read back bit for bit`() throws {
    let scratch = try Scratch()
    let path = scratch.path("model.safetensors")
    let metadata = ["format": "pt", "note": "Größe \u{1F600} \t\u{1}"]
    try writeSample(path, metadata: metadata)
    let reader = try SafeTensorsReader(path: path)
    #expect(reader.metadata == metadata)
    #expect(
      reader.names == ["a \"quoted\" \\ name\n", "classifier.1.empty", "classifier.1.weight"])
    let weight = try reader.tensor(named: "classifier.1.weight")
    #expect(weight.shape == [2, 3])
    #expect(weight.values.map(\.bitPattern) == Self.weight.map(\.bitPattern))
    #expect(try reader.tensor(named: "a \"quoted\" \\ name\n").shape == [])
    #expect(reader.shape(of: "classifier.1.empty") == [0, 4])
    #expect(try reader.tensor(named: "classifier.1.empty").values == [])
    var part: [Float] = [9, 9, 9]
    try part.withUnsafeMutableBufferPointer {
      try reader.read("classifier.1.weight", elements: 1..<3, into: #require($0.baseAddress))
    }
    #expect(part == [-2.5, .infinity, 9])
    #expect(throws: SafeTensorsError.self) { try reader.tensor(named: "absent") }
  }

  @Test func `the same content gives the same bytes, whatever its order`() throws {
    let scratch = try Scratch()
    try writeSample(scratch.path("1"), metadata: ["b": "1", "a": "2"])
    let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path("1")))
    let values: [Float] = [7]
    try Self.weight.withUnsafeBufferPointer { weight in
      try values.withUnsafeBufferPointer { bias in
        try SafeTensorsWriter().write(
          to: scratch.path("2"),
          tensors: [
            (name: "classifier.1.empty", shape: [0, 4], data: .init(rebasing: weight[0..<0])),
            (name: "a \"quoted\" \\ name\n", shape: [], data: bias),
            (name: "classifier.1.weight", shape: [2, 3], data: weight),
          ], metadata: ["a": "2", "b": "1"])
      }
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path("2"))) == bytes)
    let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    #expect(length % 8 == 0, "the data is aligned")
  }

  @Test func `every truncation and every extension is refused with the file's name`() throws {
    let scratch = try Scratch()
    let path = scratch.path("model.safetensors")
    try writeSample(path, metadata: ["format": "pt"])
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    let size = try Int(handle.seekToEnd())
    try handle.write(contentsOf: [0])
    #expect(refusal(path)?.contains("29 bytes of data, the header describes 28") == true)
    for count in (0..<size).reversed() {
      try handle.truncate(atOffset: UInt64(count))
      let reason = try #require(refusal(path), "\(count) of \(size) bytes")
      #expect(reason.hasPrefix(path + ": "))
    }
  }

  @Test func `a flipped bit in the header is refused or changes a name, never more`() throws {
    let scratch = try Scratch()
    let path = scratch.path("model.safetensors")
    try writeSample(path)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    for bit in 0..<((bytes.count - 28) * 8) {
      let byte = bytes[bit / 8]
      func put(_ byte: UInt8) throws {
        try handle.seek(toOffset: UInt64(bit / 8))
        try handle.write(contentsOf: [byte])
      }
      try put(byte ^ 1 << (bit % 8))
      defer { try? put(byte) }
      guard refusal(path) == nil else { continue }
      // What is still accepted describes the same 28 bytes.
      let reader = try SafeTensorsReader(path: path)
      let counts = reader.names.compactMap { reader.shape(of: $0)?.reduce(1, *) }
      #expect(counts.sorted() == [0, 1, 6], "bit \(bit)")
    }
  }

  @Test(arguments: [
    ("", "does not start with {"),
    ("[]", "does not start with {"),
    ("{", "expected \""),
    ("{} x", "something follows"),
    (#"{"a":1}"#, "expected {"),
    (#"{"a":{"dtype":"F32","shape":[1]}}"#, "missing"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, "data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, "unknown or duplicate"),
    (#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "duplicate"),
    (#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, "unknown dtype F99"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "expected 8"),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, "non-negative"),
    (#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, "expected ]"),
    (#"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#, "non-negative"),
    (#"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#, "integer"),
    (
      #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#, "too large"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "hole"),
    (#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#, "4 bytes of data"),
    (
      #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"#
        + #""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, "overlaps"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#
        + #""a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, "duplicate tensor a"
    ),
    (#"{"__metadata__":{"a":1}}"#, "expected \""),
    (#"{"__metadata__":{"a":"1","a":"2"}}"#, "duplicate metadata"),
    (#"{"__metadata__":{},"__metadata__":{}}"#, "duplicate __metadata__"),
    (#"{"__metadata__":{"a":"\ud800"}}"#, "surrogate"),
    (#"{"__metadata__":{"a":"\q"}}"#, "escape"),
  ])
  func `a lying header is refused with the reason`(header: String, reason: String) throws {
    let scratch = try Scratch()
    let path = try file(scratch, header: header, data: [0, 0, 0, 0])
    let refused = try #require(refusal(path))
    #expect(refused.contains(reason), "\(refused)")
  }

  @Test func `a header length beyond the file or the format's limit takes no memory`() throws {
    let scratch = try Scratch()
    for length in [3, 100, 99_999_999, 100_000_001, UInt64(Int.max), UInt64.max] {
      let path = try file(scratch, header: "{}", length: length)
      #expect(refusal(path)?.contains("a header of \(length) bytes") == true)
      let isFar = length > 100_000_000
      #expect(refusal(path)?.hasSuffix("is it a .safetensors file?") == isFar, "\(length)")
    }
  }

  @Test func `other types are listed but not read as floats`() throws {
    let scratch = try Scratch()
    let path = try file(
      scratch, header: #"{"n":{"data_offsets":[0,4],"shape":[2],"dtype":"F16"}}"#,
      data: [0, 0, 0, 0])
    let reader = try SafeTensorsReader(path: path)
    #expect(reader.names == ["n"])
    #expect(
      throws: SafeTensorsError(path: path, reason: "tensor n is F16, not F32")
    ) { try reader.tensor(named: "n") }
  }

  @Test func `a file that cannot be written leaves the old one alone`() throws {
    let scratch = try Scratch()
    let path = scratch.path("model.safetensors")
    try writeSample(path)
    let old = try Data(contentsOf: URL(fileURLWithPath: path))
    let values: [Float] = [1, 2]
    values.withUnsafeBufferPointer { values in
      #expect(throws: SafeTensorsError.self) {
        try SafeTensorsWriter().write(
          to: path, tensors: [(name: "x", shape: [3], data: values)])
      }
      #expect(throws: SafeTensorsError.self) {
        try SafeTensorsWriter().write(
          to: path,
          tensors: [
            (name: "x", shape: [2], data: values), (name: "x", shape: [2], data: values),
          ])
      }
      #expect(throws: SafeTensorsError.self) {
        try SafeTensorsWriter().write(
          to: scratch.path("absent/model"), tensors: [(name: "x", shape: [2], data: values)])
      }
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == old)
    let left = try FileManager.default.contentsOfDirectory(atPath: scratch.url.path)
    #expect(left == ["model.safetensors"])
  }

  @Test func `a full disk is named with what to do about it`() throws {
    let scratch = try Scratch()
    let path = scratch.path("model.safetensors")
    let writer = SafeTensorsWriter(calls: .full { true })
    let error = Self.weight.withUnsafeBufferPointer { weight in
      #expect(throws: SafeTensorsError.self) {
        try writer.write(to: path, tensors: [(name: "x", shape: [6], data: weight)])
      }
    }
    #expect(
      error?.description
        == "\(path).partial: write: No space left on device: free some there")
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path) == [])
  }

  @Test func `a directory or a missing file is refused`() throws {
    let scratch = try Scratch()
    #expect(refusal(scratch.url.path)?.contains("not a regular file") == true)
    #expect(refusal(scratch.path("absent"))?.contains("open: No such file") == true)
  }
}
