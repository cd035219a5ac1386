import FoundationEssentials

/// JSON as all of Crosscut's records are written.
///
/// Keys in alphabetical order, so that the same record is the same text. JSON has no numbers for
/// infinity and not-a-number, and a loss that has become one must be seen: they are the strings
/// "Infinity", "-Infinity" and "NaN".
enum JSON {
  /// The record as one line of text without a line feed.
  static func encode(_ record: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return [UInt8](try encoder.encode(record))
    } catch {
      // Numbers, strings and lists of them: nothing of a record can refuse to be encoded.
      preconditionFailure("a record that cannot be encoded: \(error)")
    }
  }

  /// Reads what `encode` has written.
  ///
  /// - Throws: `ObservabilityError` with the path of the key at fault.
  static func decode<Record: Decodable>(
    _ type: Record.Type, from bytes: [UInt8], what: String
  ) throws(ObservabilityError) -> Record {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch let error as DecodingError {
      throw ObservabilityError("\(what): \(explain(error))")
    } catch {
      throw ObservabilityError("\(what): \(error)")
    }
  }

  private static func explain(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context): "\(path(context.codingPath + [key])) is missing"
    case .valueNotFound(_, let context): "\(path(context.codingPath)) has no value"
    case .typeMismatch(let type, let context):
      "\(context.codingPath.isEmpty ? "it" : path(context.codingPath)) is not \(noun(type))"
    case .dataCorrupted(let context):
      context.codingPath.isEmpty ? "not JSON" : "\(path(context.codingPath)) has an unknown value"
    @unknown default: "unreadable"
    }
  }

  private static func noun(_ type: Any.Type) -> String {
    switch type {
    case is any BinaryInteger.Type, is any BinaryFloatingPoint.Type: "a number"
    case is String.Type: "a text"
    case is [Any].Type: "a list"
    default: "an object"
    }
  }

  private static func path(_ keys: [any CodingKey]) -> String {
    var text = ""
    for key in keys {
      if let index = key.intValue {
        text += "[\(index)]"
      } else {
        text += (text.isEmpty ? "" : ".") + key.stringValue
      }
    }
    return text
  }
}
