import Glibc
import Synchronization
import Tensors
import Testing

/// Counts releases, on whatever thread they come.
private final class Counter: Sendable {
  let value = Atomic(0)
  func add() { value.add(1, ordering: .relaxed) }
  var count: Int { value.load(ordering: .relaxed) }
}

/// Holds one reference until told to drop it.
private final class Holder: Sendable {
  private let frame: Mutex<Frame?>
  init(_ frame: Frame) { self.frame = Mutex(frame) }
  func drop() { frame.withLock { $0 = nil } }
}

/// Runs the body on `count` threads at once and waits for all of them.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Start {
    let number: Int
    let body: @Sendable (Int) -> Void
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) {
      self.number = number
      self.body = body
    }
  }
  let threads = (0..<count).map { number in
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(number, body))
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        start.body(start.number)
        return nil
      }, start.toOpaque())
    precondition(code == 0, "pthread_create: \(code)")
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
}

@Suite struct FrameTests {
  @Test func `memory is released once, when the last reference goes`() {
    let releases = Counter()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
    defer { memory.deallocate() }
    var frame: Frame? = Frame(adopting: UnsafeRawBufferPointer(memory)) { releases.add() }
    var copies = Array(repeating: frame, count: 3)
    frame = nil
    #expect(releases.count == 0)
    copies.removeLast(2)
    #expect(releases.count == 0)
    copies = []
    #expect(releases.count == 1)
  }

  @Test func `a frame dropped by many threads is released once`() {
    for _ in 0..<50 {
      let releases = Counter()
      let held: [Holder] = {
        let frame = Frame(adopting: UnsafeRawBufferPointer(start: nil, count: 0)) {
          releases.add()
        }
        return (0..<4).map { _ in Holder(frame) }
      }()
      onThreads(4) { held[$0].drop() }
      #expect(releases.count == 1)
    }
  }

  @Test func `a copy has the values as bytes`() {
    let floats: [Float] = [1, -2, .pi]
    // The views do not keep the frame alive.
    withExtendedLifetime(Frame(copying: floats)) { frame in
      #expect(frame.byteCount == 12)
      #expect(Array(frame.floats) == floats)
      #expect(Int(bitPattern: frame.bytes.baseAddress) % AlignedBuffer.alignment == 0)
    }
    withExtendedLifetime(Frame(copying: [Int32(7), -1])) { frame in
      #expect(Array(frame.int32s) == [7, -1])
    }
    #expect(Frame(copying: [Float]()).byteCount == 0)
  }
}

@Suite struct FramePoolTests {
  @Test func `a buffer is used again once its frame is gone, not before`() {
    let pool = FramePool()
    var first: Frame? = pool.frame(floats: 100) { $0.update(repeating: 1) }
    let address = first?.bytes.baseAddress
    let second = pool.frame(floats: 100) { $0.update(repeating: 2) }
    #expect(second.bytes.baseAddress != address)
    #expect(first?.floats.allSatisfy { $0 == 1 } == true)
    #expect(pool.allocatedBytes == 800)
    first = nil
    let third = pool.frame(floats: 100) { $0.update(repeating: 3) }
    #expect(third.bytes.baseAddress == address)
    withExtendedLifetime(second) { #expect($0.floats.allSatisfy { $0 == 2 }) }
    #expect(pool.allocatedBytes == 800)
  }

  @Test func `sizes have shelves of their own`() {
    let pool = FramePool()
    var address: UnsafeRawPointer?
    do {
      let frame = pool.frame(byteCount: 1000) { _ in }
      #expect(frame.byteCount == 1000)
      address = frame.bytes.baseAddress
    }
    let other = pool.frame(byteCount: 2000) { _ in }
    #expect(pool.allocatedBytes == 3000)
    let again = pool.frame(byteCount: 1000) { _ in }
    #expect(again.bytes.baseAddress == address)
    #expect(other.byteCount == 2000)
  }

  @Test func `small and empty frames share a cache line's shelf`() {
    let pool = FramePool()
    do {
      let empty = pool.frame(byteCount: 0) { #expect($0.isEmpty) }
      #expect(empty.byteCount == 0)
    }
    let small = pool.frame(byteCount: 4) { $0.storeBytes(of: UInt32(5), as: UInt32.self) }
    #expect(small.byteCount == 4)
    #expect(pool.allocatedBytes == AlignedBuffer.alignment)
  }

  @Test func `memory is aligned for vectors`() {
    let pool = FramePool()
    for byteCount in [1, 63, 65, 4096] {
      let frame = pool.frame(byteCount: byteCount) { _ in }
      #expect(Int(bitPattern: frame.bytes.baseAddress) % AlignedBuffer.alignment == 0)
    }
  }

  @Test func `a frame outlives its pool's owner`() {
    var pool: FramePool? = FramePool()
    let frame = pool?.frame(floats: 4) { $0.update(repeating: 9) }
    pool = nil
    withExtendedLifetime(frame) { #expect($0?.floats.elementsEqual([9, 9, 9, 9]) == true) }
  }

  @Test func `many threads make and drop frames without mixing them`() {
    let pool = FramePool()
    let wrong = Counter()
    onThreads(4) { number in
      var kept: [Frame] = []
      for round in 0..<500 {
        let value = Float(number * 1000 + round)
        kept.append(pool.frame(floats: 64 << (round % 3)) { $0.update(repeating: value) })
        if kept.count > 3 { kept.removeFirst() }
        let isWhole = withExtendedLifetime(kept) {
          $0.last?.floats.allSatisfy { $0 == value } == true
        }
        if !isWhole { wrong.add() }
        if let oldest = kept.first, let first = oldest.floats.first,
          !oldest.floats.allSatisfy({ $0 == first })
        {
          wrong.add()
        }
      }
    }
    #expect(wrong.count == 0)
    // Four threads with four frames each at most, of the largest size.
    #expect(pool.allocatedBytes <= 4 * 4 * (256 + 512 + 1024))
  }
}

@Suite struct AlignedBufferTests {
  @Test(arguments: [0, 1, 15, 16, 17, 1000])
  func `memory is zeroed, aligned and large enough`(floats: Int) {
    let buffer = AlignedBuffer(floats: floats)
    defer { withExtendedLifetime(buffer) {} }
    #expect(buffer.bytes.count >= max(64, 4 * floats))
    #expect(Int(bitPattern: buffer.bytes.baseAddress) % AlignedBuffer.alignment == 0)
    #expect(buffer.floats.allSatisfy { $0 == 0 })
    #expect(UnsafePointer(buffer.floatPointer) == UnsafePointer(buffer.floats.baseAddress))
  }
}

@Suite struct ShapeTests {
  @Test func `a shape counts its elements`() {
    #expect(Shape(2, 3, 5).count == 30)
    #expect(Shape([]).count == 1)
    #expect(Shape(2, 3, 5).rank == 3)
    #expect(Shape(2, 3, 5)[1] == 3)
    #expect("\(Shape(2, 3, 5))" == "2x3x5")
  }
}
