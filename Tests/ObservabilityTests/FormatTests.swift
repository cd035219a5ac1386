import Testing

@testable import Observability

@Suite struct FormatTests {
  @Test(arguments: [
    (0, 2, "0.00"), (-0.001, 2, "0.00"), (1.005, 1, "1.0"), (-12.35, 0, "-12"), (0.96, 1, "1.0"),
    (1234.5678, 3, "1234.568"), (.nan, 2, "nan"), (.infinity, 1, "inf"), (-.infinity, 1, "-inf"),
    (1e300, 2, "1e+300"), (1.7205701035980566e36, 4, "1.721e+36"), (-9.9999e20, 2, "-1e+21"),
  ])
  func `decimals are fixed`(value: Double, decimals: Int, text: String) {
    #expect(Format.fixed(value, decimals) == text)
  }

  @Test(arguments: [
    (0, "0"), (0.01, "0.01"), (0.000125, "0.000125"), (1.0, "1"), (4.213, "4.21"), (42.13, "42.1"),
    (421.3, "421"), (90, "90"), (1523.4, "1523"), (-0.5, "-0.5"),
  ])
  func `three digits are significant`(value: Double, text: String) {
    #expect(Format.significant(value) == text)
  }

  @Test(arguments: [
    (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
    (12_345_678, "12.3 MB"), (123_456_789, "123 MB"), (5_000_000_000, "5.00 GB"),
    (UInt64.max, "18.4 EB"),
  ])
  func `bytes have a unit`(count: UInt64, text: String) { #expect(Format.bytes(count) == text) }

  @Test(arguments: [
    (0, "0.0 s"), (0.01, "<0.1 s"), (0.05, "0.1 s"), (9.94, "9.9 s"), (9.96, "10 s"),
    (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.4, "59 min 59 s"), (3600, "1 h 00 min"),
    (86_399, "23 h 59 min"), (100_000, "1 d 03 h"), (-1, "0.0 s"), (.infinity, "-"),
  ])
  func `durations have two units at most`(seconds: Double, text: String) {
    #expect(Format.duration(seconds) == text)
  }

  @Test(arguments: [
    (0, "····"), (0.25, "█···"), (0.5, "██··"), (1, "████"), (2, "████"), (-1, "····"),
    (.nan, "····"), (0.999, "███▉"), (0.04, "▏···"),
  ])
  func `a bar is filled in eighths`(fraction: Double, bar: String) {
    #expect(Paint.bar(fraction, width: 4) == bar)
  }

  @Test func `control characters are replaced`() {
    #expect(Format.printable("a\u{7}b\u{9B}c\u{202E}d\r\né漢") == "a?b?c?d??é漢")
    #expect(
      Format.printableLines("a\tb\nc\u{1B}[2J\r\n\u{9B}\u{202E}é漢") == "a\tb\nc?[2J?\n??é漢")
  }
}
