import Foundation
import Messages
import Observability
import Synchronization
import Tensors
import Testing
import Training
import Transport
import Wire

@testable import Nodes

@Suite struct FlightTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "crosscut-flight-\(UUID().uuidString)")
  private var path: String { folder.path + "/worker-1.flight" }
  private static let smallest = 2 * FlightRecord.mostBytes

  private final class Flag: Sendable {
    let isSet = Atomic(false)
  }

  init() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func recorder() throws -> FlightRecorder {
    try FlightRecorder(path: path, name: "worker", ringBytes: Self.smallest)
  }

  @Test func `what was noted is read again, in order`() throws {
    let recorder = try recorder()
    recorder.rename("worker 1")
    let records = [
      FlightRecord(.begun, time: 1, number: .max),
      FlightRecord(.received, time: 2, bytes: [1, 2, 3], frames: [4, .max]),
      FlightRecord(.note, time: 3, bytes: Array("wörd".utf8)),
    ]
    for record in records { recorder.note(record) }
    let ring = try FlightRing(path: path)
    #expect(ring.records == records)
    #expect(ring.records[2].text == "wörd")
    #expect(ring.name == "worker 1")
    #expect(ring.processID == UInt64(getpid()))
    #expect(!ring.isCut && ring.damage == nil)
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `a record whose time is damaged ends what is read`() throws {
    for time in [4, UInt64.max] {
      let recorder = try recorder()
      let records = [UInt64(1), 5, time, 6].map { FlightRecord(.note, time: $0) }
      for record in records { recorder.note(record) }
      let ring = try FlightRing(path: path)
      #expect(ring.records == Array(records[..<2]))
      #expect(ring.damage == "damaged behind 2 records")
      try FileManager.default.removeItem(atPath: path)
    }
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `the files of processes that live stay, of the dead the newest`() throws {
    let log = Logger(descriptor: 2, name: "test", level: .error)
    var living: [FlightRecorder] = []
    for number in 0..<8 {
      let recorder = try FlightRecorder(
        path: "\(folder.path)/worker-\(number).flight", name: "worker", ringBytes: Self.smallest)
      if number < 4 { living.append(recorder) }
      // The living are the oldest.
      var times = [timespec](repeating: timespec(tv_sec: 1000 + number, tv_nsec: 0), count: 2)
      utimensat(AT_FDCWD, "\(folder.path)/worker-\(number).flight", &times, 0)
    }
    let newest = FlightRecorder.open(in: folder.path, role: .worker, log: log)
    let names = Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
    #expect(newest != nil)
    #expect((0..<4).allSatisfy { names.contains("worker-\($0).flight") }, "\(names)")
    #expect(names.contains("worker-7.flight"), "\(names)")
    withExtendedLifetime(living) {}
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `a ring that is full loses its oldest, and never more than it must`() throws {
    let recorder = try recorder()
    let count = 10_000
    for number in 0..<count {
      recorder.note(
        FlightRecord(
          .sent, time: 0, number: UInt64(number),
          bytes: Array(repeating: UInt8(truncatingIfNeeded: number), count: number % 97)))
    }
    let ring = try FlightRing(path: path)
    #expect(ring.isCut && ring.damage == nil)
    let numbers = ring.records.map(\.number)
    let first = try #require(numbers.first)
    #expect(numbers == Array(first..<UInt64(count)))
    let bytes = ring.records.reduce(0) { $0 + $1.encoded.count }
    #expect(bytes > Self.smallest - 200 && bytes <= Self.smallest)
    for record in ring.records {
      #expect(record.bytes.allSatisfy { $0 == UInt8(truncatingIfNeeded: record.number) })
    }
    try FileManager.default.removeItem(at: folder)
  }

  @Test(.timeLimit(.minutes(10)))
  func `a ring that is written meanwhile loses its oldest, and is not taken for damaged`() throws {
    let end = Flag()
    let wrapped = try Mailbox<Bool>()
    let path = path
    let writer = try OwnedThread(name: "writer") {
      // Its own thread's, as a node's is its socket thread's.
      guard
        let recorder = try? FlightRecorder(path: path, name: "worker", ringBytes: Self.smallest)
      else {
        _ = wrapped.post(false)
        return
      }
      var number: UInt64 = 0
      var written = 0
      while !end.isSet.load(ordering: .relaxed) {
        let record = FlightRecord(
          .sent, time: 0, number: number, bytes: Array(repeating: 7, count: Int(number % 997)))
        recorder.note(record)
        number += 1
        let before = written
        written += record.encoded.count
        if before <= 2 * Self.smallest, written > 2 * Self.smallest { _ = wrapped.post(true) }
      }
    }
    defer {
      end.isSet.store(true, ordering: .relaxed)
      writer.join()
    }
    try #require(wrapped.take() == true)
    var newest: Set<UInt64> = []
    for _ in 0..<2000 {
      let ring = try FlightRing(path: path)
      try #require(ring.damage == nil && ring.isCut && !ring.records.isEmpty)
      let numbers = ring.records.map(\.number)
      try #require(numbers == Array(numbers[0]..<numbers[0] + UInt64(numbers.count)))
      newest.insert(numbers[numbers.count - 1])
    }
    // It did go on meanwhile.
    #expect(newest.count > 100)
    try FileManager.default.removeItem(at: folder)
  }

  @Test
  func `a ring that is cut, damaged or of another kind is refused or read as far as it is good`()
    throws
  {
    let recorder = try recorder()
    for number in 0..<100 { recorder.note(FlightRecord(.asked, time: 1, number: UInt64(number))) }
    let good = try Data(contentsOf: URL(fileURLWithPath: path))
    let other = folder.path + "/other.flight"
    func read(_ data: Data) throws -> FlightRing {
      try data.write(to: URL(fileURLWithPath: other))
      return try FlightRing(path: other)
    }
    #expect(try read(good).records.count == 100)
    for length in [0, 7, 8, 100, FlightRing.headerBytes, good.count - 1] {
      #expect(throws: NodeError.self) { try read(good.prefix(length)) }
    }
    #expect(throws: NodeError.self) { try FlightRing(path: folder.path + "/absent") }
    #expect(throws: NodeError.self) { try FlightRing(path: "/dev/zero") }
    #expect(throws: NodeError.self) { try FlightRing(path: folder.path) }
    // Every byte of the description, and of the first records, changed in two ways.
    for offset in Array(0..<64) + Array(FlightRing.headerBytes..<FlightRing.headerBytes + 200) {
      for change: UInt8 in [0x01, 0xFF] {
        var bad = good
        bad[offset] ^= change
        guard let ring = try? read(bad) else { continue }
        #expect(ring.records.count <= 101, "byte \(offset)")
      }
    }
    var bad = good
    bad[FlightRing.headerBytes + 50 * FlightRecord.fixedBytes + 1] = 0xFF
    let ring = try read(bad)
    #expect(ring.records.count == 50)
    #expect(ring.damage == "damaged behind 50 records")
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `what is no message, or nothing a core can use, does not stop a replay`() throws {
    let recorder = try recorder()
    let configuration = try TinyRun.configuration()
    for (index, kind) in FlightRecord.Kind.allCases.enumerated() {
      for number: UInt64 in [0, 7, .max] {
        recorder.note(
          FlightRecord(
            kind, time: UInt64(index), number: number, bytes: [8, 1, 255, 0], frames: [0, .max]))
      }
    }
    for name in ["worker 0", "fc 3", "server", ""] {
      recorder.rename(name)
      let finding = FlightReplay.run(try FlightRing(path: path), configuration)
      #expect(finding.hindrance != nil && finding.agreeing == 0, "\(name): \(finding)")
    }
    let entries = FlightTimeline([try FlightRing(path: path)], withMessages: true).entries
    #expect(entries.contains { $0.text.hasSuffix("bytes") })
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `a ring that is older than the configuration's file is replayed as far as it agrees`()
    throws
  {
    let recorder = try recorder()
    let now = MonotonicClock.now()
    recorder.note(FlightRecord(.begun, time: now))
    recorder.note(FlightRecord(.note, time: now + 1_000_000, bytes: Array("view 1".utf8)))
    let configuration = try TinyRun.configuration()
    let ring = try FlightRing(path: path)
    let begun = now &+ ring.clockOffset
    for name in ["worker 1", "server"] {
      recorder.rename(name)
      let ring = try FlightRing(path: path)
      let after = FlightReplay.run(ring, configuration, configuredAt: begun + 2_000_000)
      // As of a run that was copied: the file is new, what is in it is not.
      let before = FlightReplay.run(ring, configuration, configuredAt: begun)
      #expect(before.hindrance == after.hindrance && before.agreeing == after.agreeing)
      #expect(after.difference == nil)
    }
    #expect(ring.since(begun + 1).records.count == 1 && ring.since(begun + 1).isCut)
    #expect(ring.since(0).records.count == 2 && !ring.since(0).isCut)
    try FileManager.default.removeItem(at: folder)
  }

  @Test func `a life that went further than the run now does is not replayed`() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let configuration = try TinyRun.configuration(["steps=10", "wire.gradients=bf16"])
    let recorder = try recorder()
    let worker = Member(
      node: NodeID(1), incarnation: 9, name: NodeName(.worker, 0), endpoint: "")
    let fc = Member(
      node: NodeID(2), incarnation: 8, name: NodeName(.fc, 0), endpoint: "inproc://fc")
    let view = View(
      number: 1, resumeTurn: 500, workers: [worker], fcNodes: [fc],
      dataset: DatasetFacts(trainingExamples: 101, evaluationExamples: 33, fingerprint: 5),
      skippedTurns: 1)
    let server = Header(run: 7, view: 1, sender: .server, incarnation: 9)
    let own = Header(run: 7, view: 1, sender: NodeID(1), incarnation: 9)
    recorder.note(.received, try WireCodec.encode(Message(server, .view(view))))
    recorder.note(.sent, try WireCodec.encode(Message(own, .pull)))
    recorder.rename("worker 0")
    let ring = try FlightRing(path: path)
    let finding = FlightReplay.run(ring, configuration, configuredAt: .max)
    #expect(finding.hindrance == "the run's configuration has changed since")
    #expect(finding.agreeing == 0 && finding.difference == nil)
    // Where nothing tells that it is older, as in a copy of the run, a core is led there.
    #expect(FlightReplay.run(ring, configuration).difference == nil)
  }

  @Test func `the time of day is that of 1970's clock`() {
    #expect(FlightTimeline.clock(0) == "00:00:00.000000")
    #expect(FlightTimeline.clock(86_399_000_042) == "23:59:59.000042")
  }
}
