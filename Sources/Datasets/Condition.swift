import Glibc

/// A lock with a condition: what `Mutex` of Synchronization cannot wait on.
package final class Condition: @unchecked Sendable {
  // Both are made for being used by several threads, and are allocated because they may not move.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  package init() {
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` while holding the lock.
  package func locked<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure)
    -> Value
  {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Gives the lock up until `wakeAll`, then takes it again. Only inside `locked`; may return
  /// without cause.
  package func wait() { pthread_cond_wait(condition, mutex) }

  /// Wakes everybody who waits.
  package func wakeAll() { pthread_cond_broadcast(condition) }
}
