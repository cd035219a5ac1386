/// What `metrics.jsonl` holds, read back.
package struct MetricsFile: Hashable, Sendable {
  /// By step; of steps that were done again after a resume only the last.
  package private(set) var training: [MetricsLog.Training] = []
  package private(set) var evaluations: [MetricsLog.Evaluation] = []

  /// Reads the lines. A last line without its end is left out: somebody is writing it.
  ///
  /// - Throws: `ObservabilityError` with the number of the line at fault.
  package init(_ text: String, name: String) throws(ObservabilityError) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.dropLast().enumerated() where !line.isEmpty {
      let what = "\(name): line \(index + 1)"
      let bytes = Array(line.utf8)
      switch try JSON.decode(Kind.self, from: bytes, what: what).kind {
      case "training":
        let record = try JSON.decode(MetricsLog.Training.self, from: bytes, what: what)
        while let last = training.last, last.step >= record.step { training.removeLast() }
        training.append(record)
      case "evaluation":
        let record = try JSON.decode(MetricsLog.Evaluation.self, from: bytes, what: what)
        while let last = evaluations.last, last.step >= record.step { evaluations.removeLast() }
        evaluations.append(record)
      default: break  // Newer versions may write more.
      }
    }
  }

  /// Whether its examples were made up, as for benchmarks.
  package var isOfSyntheticData: Bool {
    (training.last?.data ?? evaluations.last?.data) == DatasetRecord.synthetic
  }

  /// A file without a line.
  package init() {}

  /// The measures up to a step, for a run that goes on from there.
  package func upTo(step: UInt64) -> MetricsFile {
    var part = self
    part.training.removeAll { $0.step > step }
    part.evaluations.removeAll { $0.step > step }
    return part
  }

  private struct Kind: Decodable { let kind: String }

  /// One line a record, evaluations after the training they follow; empty where a kind has no such
  /// measure.
  package func csv() -> String {
    func cell(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    var rows: [(UInt64, Int, String)] = training.map {
      let rest = [
        cell($0.epoch), cell($0.loss), cell($0.accuracy), "", cell($0.learningRate),
        cell($0.imagesPerSecond), cell($0.secondsSinceStart),
      ]
      return ($0.step, 0, "training,\($0.step)," + rest.joined(separator: ","))
    }
    rows += evaluations.map {
      let rest = [
        cell($0.epoch), cell($0.loss), cell($0.accuracy), cell($0.top5), "", "",
        cell($0.secondsSinceStart),
      ]
      return ($0.step, 1, "evaluation,\($0.step)," + rest.joined(separator: ","))
    }
    rows.sort { ($0.0, $0.1) < ($1.0, $1.1) }
    return
      (["kind,step,epoch,loss,accuracy,top5,learningRate,imagesPerSecond,secondsSinceStart"]
      + rows.map(\.2)).joined(separator: "\n") + "\n"
  }
}
