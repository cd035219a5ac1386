import Synchronization

/// A number that one thread sets and others read.
final class SharedNumber: Sendable {
  private let number = Atomic<UInt64>(0)
  init() {}

  var value: UInt64 {
    get { number.load(ordering: .sequentiallyConsistent) }
    set { number.store(newValue, ordering: .sequentiallyConsistent) }
  }
}
