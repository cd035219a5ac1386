import Configuration
import Training

/// Checkpoints for people and as JSON.
struct CheckpointTable {
  private let listings: [CheckpointStore.Listing]

  init(_ listings: [CheckpointStore.Listing]) { self.listings = listings }

  /// Whether none is refused.
  var isGood: Bool {
    listings.allSatisfy { if case .success = $0.manifest { true } else { false } }
  }

  /// A line for each, and below them why some are refused.
  var text: String {
    var cells = [["checkpoint", "steps", "epoch", "loss", "accuracy", "size"]]
    var refused: [String] = []
    for listing in listings {
      let name =
        (listing.path.split(separator: "/").last.map(String.init) ?? listing.path)
        + (listing.isBest ? " (best)" : "")
      switch listing.manifest {
      case .success(let manifest):
        cells.append([
          name, "\(manifest.steps)", Self.fixed(manifest.epoch, 2), Self.fixed(manifest.loss, 4),
          Self.fixed(manifest.testAccuracy, 4), Self.megabytes(manifest.bytes),
        ])
      case .failure(let error):
        cells.append([name, "refused", "", "", "", ""])
        refused.append("\(error)")
      }
    }
    let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    let lines = cells.map { row in
      let padded = row.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - row[column].count)
        return column == 0 ? row[column] + space : space + row[column]
      }
      return String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
    }
    return (lines + (refused.isEmpty ? [] : [""] + refused)).joined(separator: "\n") + "\n"
  }

  /// A line for each: that it is good, or which file is not and why.
  var verdicts: String {
    listings.map { listing in
      switch listing.manifest {
      case .success(let manifest):
        "\(listing.path): good, step \(manifest.steps), \(Self.megabytes(manifest.bytes))"
          + (listing.isBest ? " (best)\n" : "\n")
      case .failure(let error): "\(error)\n"
      }
    }.joined()
  }

  /// The same as JSON; keys are only ever added.
  var json: JSONValue {
    .array(
      listings.map { listing in
        switch listing.manifest {
        case .success(let manifest):
          .object([
            .init("path", .string(listing.path)), .init("good", .bool(true)),
            .init("steps", .int(Int(clamping: manifest.steps))),
            .init("epoch", .double(manifest.epoch)),
            .init("loss", manifest.loss.map(JSONValue.double) ?? .null),
            .init("testAccuracy", manifest.testAccuracy.map(JSONValue.double) ?? .null),
            .init("bytes", .int(Int(clamping: manifest.bytes))),
            .init("best", .bool(listing.isBest)), .init("aside", .bool(listing.isAside)),
            .init("run", .string(manifest.run)), .init("network", .string(manifest.network)),
          ])
        case .failure(let error):
          .object([
            .init("path", .string(listing.path)), .init("good", .bool(false)),
            .init("steps", .int(Int(clamping: listing.steps))),
            .init("file", .string(error.path)), .init("reason", .string(error.reason)),
          ])
        }
      })
  }

  /// All that a manifest says, with its history.
  static func text(of manifest: CheckpointManifest, path: String, width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.line(path)
    layout.list([
      ("network", printable(manifest.network)),
      ("run", printable(manifest.run)),
      ("written by", "\(printable(manifest.software)), format \(manifest.format)"),
      ("steps", "\(manifest.steps) (epoch \(fixed(manifest.epoch, 2)))"),
      ("loss", fixed(manifest.loss, 4)),
      ("test accuracy", fixed(manifest.testAccuracy, 4)),
      ("global batch", "\(manifest.globalBatch)"),
      ("seed", "\(manifest.seed)"),
      (
        "data set",
        "\(manifest.trainingExamples) training, \(manifest.evaluationExamples) test examples, "
          + "fingerprint \(printable(manifest.datasetFingerprint))"
      ),
      (
        "cluster",
        "workers \(manifest.workers), FC nodes \(manifest.fcNodes), "
          + (manifest.serverShards.map { "servers \($0), " } ?? "") + "view \(manifest.view)"
      ),
      ("survived", "faults: \(manifest.faultsSurvived ?? 0)"),
    ])
    layout.heading("Files")
    layout.list(
      manifest.files.map { (printable($0.name), "\(megabytes($0.bytes)), CRC-32 \($0.crc32)") })
    layout.heading("History")
    if manifest.history.isEmpty { layout.paragraph("Nothing happened.", indent: 2) }
    for event in manifest.history { layout.paragraph(printable(event), indent: 2) }
    return layout.text
  }

  /// What a file says must not steer the terminal.
  private static func printable(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          switch scalar.properties.generalCategory {
          case .control, .format, .lineSeparator, .paragraphSeparator: "?"
          default: scalar
          }
        }))
  }

  private static func fixed(_ value: Double?, _ decimals: Int) -> String {
    guard let value else { return "-" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded()
    guard scaled < 1e15 else { return "\(value)" }
    let digits = String(Int(scaled))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return "\(value < 0 ? "-" : "")\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  private static func megabytes(_ bytes: UInt64) -> String {
    "\(fixed(Double(bytes) / 1e6, 1)) MB"
  }
}
