import Configuration
import Testing
import Training

@testable import Nodes
@testable import crosscut

@Suite struct VerificationTableTests {
  private static func report() -> VerificationReport {
    var report = VerificationReport(
      steps: 20, tolerance: 1e-4,
      tensors: [.init(name: "conv1 weight", count: 400), .init(name: "fc2 bias", count: 10)])
    report.tensors[0].gradient.note(3.14e-6, at: 7)
    report.noteLoss(2e-8, at: 3)
    return report
  }

  @Test func `a clean report ends with one line that says so`() {
    #expect(
      VerificationTable(report: Self.report()).text == """
                      values  gradient  at step  parameter
        loss                   2.0e-08        3
        conv1 weight     400   3.1e-06        7          0
        fc2 bias          10         0        -          0

        the same within 1.0e-04 over 20 steps

        """)
  }

  @Test func `the first difference is named and its rows are marked`() {
    var report = Self.report()
    report.tensors[1].gradient.note(0.25, at: 4)
    report.findings = [
      .init(quantity: .gradient, tensor: "fc2 bias", step: 4, relative: 0.25)
    ]
    report.noteLoss(.infinity, at: 4)
    let text = VerificationTable(report: report).text
    #expect(text.contains("loss                       inf        4             <--\n"))
    #expect(text.contains("fc2 bias          10   2.5e-01        4          0  <--\n"))
    #expect(
      text.hasSuffix(
        "first difference: loss at step 4: inf, more than the tolerance of 1.0e-04\n"))
  }

  @Test(arguments: [
    (0, "0"), (1, "1.0e+00"), (9.96e-5, "1.0e-04"), (-0.0312, "-3.1e-02"), (1234, "1.2e+03"),
    (Double.infinity, "inf"), (Double.nan, "nan"), (1e-300, "1.0e-300"),
  ])
  func `small numbers have two digits and a power`(value: Double, text: String) {
    #expect(Numbers.scientific(value) == text)
  }

  @Test func `a model file needs a configuration`() {
    let error = #expect(throws: UsageError.self) {
      _ = try EvaluateCommand.locate(
        #filePath, configuration: nil, overrides: [], command: "evaluate")
    }
    #expect(
      error?.message == "a model file needs the CONFIG it was trained with, e.g. fashion")
  }

  @Test func `a place that is not there is named`() {
    let error = #expect(throws: TrainingError.self) {
      _ = try EvaluateCommand.locate(
        "/nonexistent/run", configuration: nil, overrides: [], command: "evaluate")
    }
    #expect(error?.message == "/nonexistent/run: no such file or directory")
  }
}
