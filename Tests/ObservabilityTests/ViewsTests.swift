import Testing

@testable import Observability

@Suite struct Dump {
  @Test func dump() {
    for width in [200, 140, 100, 80, 60, 40] {
      print(StatusTable.render(exampleRecord(), columns: width, color: false))
      print(ProgressLine.render(exampleRecord(), columns: width, color: false) + "|")
    }
    print(PlainLine.render(exampleRecord()))
  }
}
