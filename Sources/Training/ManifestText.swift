import FoundationEssentials

/// `manifest.json`: pretty JSON, keys in alphabetical order, and as last key the CRC-32 of all that
/// stands in front of that key's line.
///
/// The tensor files' checksums stand in the manifest; without one of its own, a flipped bit in it
/// could turn step 500 into step 400 unseen.
enum ManifestText {
  /// No honest manifest comes near.
  static let maximumBytes = 4 << 20

  private static let sealStart = ",\n  \"crc32\" : \""
  private static let sealEnd = "\"\n}\n"
  private static let digits = 8

  /// What must be known before the rest can be understood.
  private struct Version: Decodable {
    let format: Int
    let software: String?
  }

  /// The text of a manifest.
  ///
  /// - Throws: `CheckpointError` about `path` if a number is not finite.
  static func encode(
    _ manifest: CheckpointManifest, path: String
  ) throws(CheckpointError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let json: [UInt8]
    do {
      json = [UInt8](try encoder.encode(manifest))
    } catch {
      throw CheckpointError(path: path, reason: "a number of the manifest is not finite")
    }
    // An object in pretty print ends with a line feed and a brace.
    let body = Array(json.dropLast(2))
    return body + Array("\(sealStart)\(Checksum(of: body).hexadecimal)\(sealEnd)".utf8)
  }

  /// Reads a manifest and checks all that can be checked without the other files.
  static func decode(_ text: [UInt8], path: String) throws(CheckpointError) -> CheckpointManifest {
    let decoder = JSONDecoder()
    // First of all, for what follows may be different there.
    if let version = try? decoder.decode(Version.self, from: Data(text)),
      version.format > CheckpointManifest.currentFormat
    {
      let writer = version.software.map { ", by \($0)," } ?? ""
      throw CheckpointError(
        path: path,
        reason: "written\(writer) in format \(version.format), newer than this program's "
          + "\(CheckpointManifest.currentFormat)")
    }
    try checkSeal(of: text, path: path)
    let manifest: CheckpointManifest
    do {
      manifest = try decoder.decode(CheckpointManifest.self, from: Data(text))
    } catch {
      throw CheckpointError(path: path, reason: explain(error))
    }
    guard manifest.format == CheckpointManifest.currentFormat else {
      throw CheckpointError(path: path, reason: "format \(manifest.format) is unknown")
    }
    let names = manifest.files.map(\.name).sorted()
    guard names == [CheckpointManifest.modelName, CheckpointManifest.optimizerName] else {
      throw CheckpointError(
        path: path,
        reason: "lists the files \(names.joined(separator: ", ")), expected "
          + "\(CheckpointManifest.modelName), \(CheckpointManifest.optimizerName)")
    }
    return manifest
  }

  private static func checkSeal(of text: [UInt8], path: String) throws(CheckpointError) {
    let start = Array(sealStart.utf8)
    let end = Array(sealEnd.utf8)
    let length = start.count + digits + end.count
    guard text.count > length, text.suffix(length).starts(with: start),
      text.suffix(end.count).elementsEqual(end)
    else {
      throw CheckpointError(
        path: path,
        reason: "no manifest of a checkpoint, or not all of one: its checksum is missing")
    }
    let body = text.dropLast(length)
    let expected = text.dropLast(end.count).suffix(digits)
    let found = Checksum(of: Array(body)).hexadecimal
    guard expected.elementsEqual(found.utf8) else {
      throw CheckpointError(
        path: path,
        reason: "damaged: its CRC-32 is \(found), not as written at its end")
    }
  }

  private static func explain(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "\(key.stringValue) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      context.codingPath.isEmpty
        ? "not a JSON object"
        : "\(context.codingPath.map(\.stringValue).joined(separator: ".")) cannot be read"
    default: "not a manifest of a checkpoint"
    }
  }
}

extension CheckpointManifest {
  /// The manifest as it is stored: JSON with the keys in alphabetical order, then its checksum.
  ///
  /// - Throws: `CheckpointError` about `path` if a number of it is not finite.
  package func json(path: String) throws(CheckpointError) -> String {
    String(decoding: try ManifestText.encode(self, path: path), as: UTF8.self)
  }
}
