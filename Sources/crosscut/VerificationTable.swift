import Nodes

/// What a verification has found, as a table with a row for each tensor and a last line that says
/// it all.
struct VerificationTable {
  let report: VerificationReport

  /// The rows, and then either that all is well or what came first.
  var text: String {
    var cells = [["", "values", "gradient", "at step", "parameter", ""]]
    cells.append([
      "loss", "", Numbers.scientific(report.loss.relative), step(report.loss), "",
      mark(report.loss.relative),
    ])
    for tensor in report.tensors {
      cells.append([
        tensor.name, "\(tensor.count)", Numbers.scientific(tensor.gradient.relative),
        step(tensor.gradient), Numbers.scientific(tensor.parameter),
        mark(max(tensor.gradient.relative, tensor.parameter)),
      ])
    }
    let lines = TextTable.lines(cells, leftColumns: 1)
    let notes = report.excused.map { excused in
      "step \(excused.step) is left out in part: rounding the input the other way turns a ReLU or"
        + " maximum over\n  and changes the gradients as much (\(Numbers.scientific(excused.relative)))"
    }
    return (lines + [""] + notes + [verdict]).joined(separator: "\n") + "\n"
  }

  /// "the same within 1e-4", or the first difference.
  var verdict: String {
    let tolerance = Numbers.scientific(report.tolerance)
    guard let first = report.firstFinding else {
      return "the same within \(tolerance) over \(report.steps) steps"
    }
    return "first difference: \(first): \(Numbers.scientific(first.relative)), more than the"
      + " tolerance of \(tolerance)"
  }

  private func step(_ deviation: VerificationReport.Deviation) -> String {
    deviation.relative == 0 ? "-" : "\(deviation.step)"
  }

  private func mark(_ relative: Double) -> String { relative > report.tolerance ? "<--" : "" }
}
