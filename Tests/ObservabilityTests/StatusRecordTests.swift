import Messages
import Testing

@testable import Observability

@Suite struct StatusRecordTests {
  private func text(_ record: StatusRecord) -> String {
    String(decoding: record.json(), as: UTF8.self)
  }

  private func message(_ json: String) -> String? {
    do throws(ObservabilityError) {
      _ = try StatusRecord.decode(Array(json.utf8))
      return nil
    } catch { return error.description }
  }

  @Test func `a record comes back as it was`() throws {
    var record = exampleRecord()
    record.nodes[1].waits = [
      WaitRecord(wait(.fc, 0, "gradient of features, turn 812", 31)),
      WaitRecord(Wait(owner: .own("loader"), what: "batch of turn 813", milliseconds: 2)),
    ]
    record.serverWaits = [
      WaitRecord(
        Wait(owner: .absent("1 more worker"), what: "a place in the view", milliseconds: 9))
    ]
    #expect(try StatusRecord.decode(record.json()) == record)
    #expect(record.json() == record.json())
  }

  @Test func `what is not known is left out, and keys are in alphabetical order`() {
    let record = StatusRecord(run: 255, name: "a \"name\"/é")
    let expected = [
      #"{"elapsedSeconds":0,"epoch":0,"events":[],"fcNodesWanted":0,"message":"","#,
      #""name":"a \"name\"/é","nodes":[],"run":"00000000000000ff","schemaVersion":1,"#,
      #""serverWaits":[],"state":"gathering","step":0,"totalEpochs":0,"totalSteps":0,"#,
      #""turn":0,"view":0,"workersWanted":0}"#,
    ]
    #expect(text(record) == expected.joined())
  }

  @Test func `a node's JSON has the documented fields`() {
    var record = StatusRecord(run: 1, name: "")
    record.nodes = [exampleNode(.fc, 1, waits: [wait(.worker, 0, "activations", 7)])]
    let expected = [
      #""nodes":[{"bytesReceived":98765432,"bytesSent":1234567,"droppedMessages":0,"#,
      #""heartbeatAgeMilliseconds":210,"host":"host1","largestGapMilliseconds":4,"#,
      #""loaderImagesPerSecond":0,"millisecondsSinceProgress":12,"node":4,"phase":"conv forward","processID":4711,"#,
      #""rank":1,"residentBytes":183000000,"role":"fc","state":"active","#,
      #""stepMilliseconds":{"compute":8.04,"convBackward":0,"convForward":0,"data":0,"#,
      #""waitingForFC":0,"waitingForParameters":0,"waitingForPeers":66},"#,
      #""takenImagesPerSecond":0,"turn":830,"#,
      #""waits":[{"kind":"member","milliseconds":7,"owner":"worker 0","what":"activations"}]}]"#,
    ]
    #expect(text(record).contains(expected.joined()))
  }

  @Test func `a loss that has become infinite or undefined is seen`() throws {
    var record = exampleRecord()
    record.loss = .infinity
    record.testLoss = .nan
    #expect(text(record).contains(#""loss":"Infinity""#))
    #expect(text(record).contains(#""testLoss":"NaN""#))
    let back = try StatusRecord.decode(record.json())
    #expect(back.loss == .infinity)
    #expect(back.testLoss?.isNaN == true)
  }

  @Test func `a newer schema is refused with what to do`() {
    #expect(
      message(#"{"schemaVersion":2,"state":"dreaming"}"#)
        == "the server writes status schema 2, this crosscut reads up to 1: "
        + "use the server's version of crosscut")
  }

  @Test func `fields that are not known are passed over`() throws {
    let json = text(exampleRecord()).dropLast() + #","zeal":[1,{"a":null}]}"#
    #expect(try StatusRecord.decode(Array(json.utf8)) == exampleRecord())
  }

  @Test func `what is not a status record is refused with the key at fault`() {
    #expect(message("") == "not a status record: not JSON")
    #expect(message("{") == "not a status record: not JSON")
    #expect(message("{}") == "not a status record: schemaVersion is missing")
    #expect(message("[]") == "not a status record: it is not an object")
    let good = text(exampleRecord())
    #expect(
      message(good.replacing(#""step":812"#, with: #""step":"many""#))
        == "not a status record: step is not a number")
    #expect(
      message(good.replacing(#""state":"running""#, with: #""state":"dreaming""#))
        == "not a status record: state has an unknown value")
    #expect(
      message(good.replacing(#""rank":1,"#, with: ""))
        == "not a status record: nodes[1].rank is missing")
  }

  @Test func `every truncation is refused`() {
    let json = exampleRecord().json()
    for length in stride(from: 0, to: json.count, by: 7) {
      #expect(throws: ObservabilityError.self) { try StatusRecord.decode(Array(json[..<length])) }
    }
  }
}
