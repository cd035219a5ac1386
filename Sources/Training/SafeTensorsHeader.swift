/// The JSON header of a safetensors file: what lies where in the data behind it.
///
/// The file is: header length (8 bytes, little-endian), header, data. The header is one JSON
/// object, tensor name to `{"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}`, and
/// perhaps `"__metadata__"`, strings to strings. Offsets count from the start of the data.
struct SafeTensorsHeader: Hashable, Sendable {
  /// One tensor's place.
  struct Tensor: Hashable, Sendable {
    /// "F32" and the like.
    var dtype: String
    /// Extents, outermost first; empty for a scalar.
    var shape: [Int]
    /// Bytes in the data section.
    var bytes: Range<Int>
  }

  /// The key that is not a tensor.
  static let metadataKey = "__metadata__"
  /// Bytes in front of the header.
  static let prefix = 8
  /// The format's own limit: no header of an honest file comes near.
  static let maximumBytes = 100_000_000

  /// Bytes an element of each type takes.
  static let elementBytes: [String: Int] = [
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
  ]

  /// By name.
  var tensors: [String: Tensor] = [:]
  /// The `__metadata__`.
  var metadata: [String: String] = [:]

  /// F32 tensors in the order of their names, so that the same content gives the same bytes.
  ///
  /// - Parameter path: of the file, for the error.
  /// - Throws: if two tensors have one name.
  init(floats tensors: [(name: String, shape: [Int])], path: String) throws(SafeTensorsError) {
    var offset = 0
    for (name, shape) in tensors.sorted(by: { $0.name < $1.name }) {
      guard name != Self.metadataKey, self.tensors[name] == nil else {
        throw SafeTensorsError(path: path, reason: "two tensors are called \(name)")
      }
      let end = offset + shape.reduce(1, *) * MemoryLayout<Float>.stride
      self.tensors[name] = Tensor(dtype: "F32", shape: shape, bytes: offset..<end)
      offset = end
    }
  }

  init(tensors: [String: Tensor] = [:], metadata: [String: String] = [:]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// Bytes behind the header.
  var dataBytes: Int { tensors.values.reduce(0) { max($0, $1.bytes.upperBound) } }

  /// The header as JSON, keys sorted, padded with spaces so that the data starts at a multiple of
  /// eight bytes; with the length in front.
  var encoded: [UInt8] { encoded(atLeast: 0) }

  /// The same with at least so many bytes in all.
  func encoded(atLeast bytes: Int) -> [UInt8] {
    var fields: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }
        .map { "\(Self.quoted($0.key)):\(Self.quoted($0.value))" }
      fields.append("\(Self.quoted(Self.metadataKey)):{\(pairs.joined(separator: ","))}")
    }
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        """
        \(Self.quoted(name)):{"dtype":"\(tensor.dtype)","shape":[\(shape)],\
        "data_offsets":[\(tensor.bytes.lowerBound),\(tensor.bytes.upperBound)]}
        """)
    }
    var json = Array("{\(fields.joined(separator: ","))}".utf8)
    while json.count % 8 != 0 || Self.prefix + json.count < bytes {
      json.append(UInt8(ascii: " "))
    }
    let length = UInt64(json.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + json
  }

  /// Checks what the JSON claims against the bytes that are there: every tensor's size is its
  /// shape's, and the tensors cover the data exactly, without overlap or hole.
  ///
  /// - Returns: what is wrong, or nil.
  func contradiction(dataBytes: Int) -> String? {
    for (name, tensor) in tensors {
      guard let size = Self.elementBytes[tensor.dtype] else {
        return "tensor \(name): unknown dtype \(tensor.dtype)"
      }
      var count = size
      for extent in tensor.shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard !overflow else { return "tensor \(name): shape \(tensor.shape) is too large" }
        count = product
      }
      guard count == tensor.bytes.count else {
        return "tensor \(name): \(tensor.bytes.count) bytes for shape \(tensor.shape) of "
          + "\(tensor.dtype), expected \(count)"
      }
    }
    var end = 0
    for (name, tensor) in tensors.sorted(by: { Self.precedes($0, $1) }) {
      guard tensor.bytes.lowerBound == end else {
        let what = tensor.bytes.lowerBound < end ? "overlaps the one before" : "leaves a hole"
        return "tensor \(name): starts at byte \(tensor.bytes.lowerBound), expected \(end): \(what)"
      }
      end = tensor.bytes.upperBound
    }
    return end == dataBytes ? nil : "\(dataBytes) bytes of data, the header describes \(end)"
  }

  private static func precedes(
    _ a: (key: String, value: Tensor), _ b: (key: String, value: Tensor)
  ) -> Bool {
    // Empty tensors stand before the one that starts at the same byte.
    (a.value.bytes.lowerBound, a.value.bytes.upperBound, a.key)
      < (b.value.bytes.lowerBound, b.value.bytes.upperBound, b.key)
  }

  /// A JSON string literal.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
