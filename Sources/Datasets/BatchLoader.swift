import Tensors

/// Loads batches on threads of its own, ahead of the worker that takes them.
///
/// A request asks for a batch before it is needed; `take` hands it out, waiting if it must.
/// Batches go round: taken, recycled, filled again, so that training allocates no memory. All
/// methods may be called from any thread.
package final class BatchLoader: Sendable {
  private let state: LoaderState
  /// Not touched after `init` but by the first `stop`, which `LoaderState.stop` singles out.
  private nonisolated(unsafe) let threads: [LoaderThread]
  /// What is replaced by other examples; `nil` where nothing is.
  package let broken: BrokenExamples?

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - training: the training set.
  ///   - evaluation: the test set, of the same shape.
  ///   - order: the order of the training set.
  ///   - views: which part of an image the network sees, and how; of the sources' shape.
  ///   - depth: batches that are loaded ahead at most. More even out a slow disk, and each takes
  ///     the memory of a share.
  ///   - threads: how many load at a time, each a batch of its own.
  ///   - broken: counts examples that cannot be read, whose place others take; `nil`: `take` throws.
  ///   - onReady: called from a loader thread when `take` of the request will not wait. It may be
  ///     called a last time for a request that another thread is just cancelling. It must not
  ///     call `stop`.
  package init(
    training: any ExampleSource, evaluation: any ExampleSource, order: ExampleOrder,
    views: ViewMaker, depth: Int = 3, threads: Int = 1, broken: BrokenExamples? = nil,
    onReady: @escaping @Sendable (BatchRequest) -> Void = { _ in }
  ) {
    precondition(
      training.shape == evaluation.shape && order.count == training.count
        && views.source == training.shape && depth >= 1 && threads >= 1,
      "a loader of \(training.shape) and \(evaluation.shape) for views of \(views.source), "
        + "order of \(order.count) for \(training.count), depth \(depth)")
    let state = LoaderState(depth: depth, exampleCount: views.output.count)
    let filler = BatchFiller(
      training: training, evaluation: evaluation, order: order, views: views, broken: broken)
    self.state = state
    self.broken = broken
    self.threads = (0..<threads).map { number in
      LoaderThread(name: "loader \(number)") {
        // One picture, before the network's part of it is taken.
        let picture = AlignedBuffer(floats: views.source.count)
        while let (batch, ticket) = state.next() {
          var failure: DatasetError?
          let start = LoaderWork.now()
          do throws(DatasetError) {
            try filler.fill(batch, through: picture.floatPointer)
          } catch {
            failure = error
          }
          let nanoseconds = LoaderWork.now() - start
          if let ready = state.finish(batch, ticket, failure, nanoseconds: nanoseconds) {
            onReady(ready)
          }
        }
      }
    }
  }

  deinit { precondition(state.isStopped, "a batch loader was never stopped") }

  /// Asks for a batch ahead of time; never waits.
  ///
  /// Requests are loaded in the order they were made. One that is already asked for, being loaded
  /// or ready is not loaded twice.
  package func request(_ request: BatchRequest) { state.request(request) }

  /// Hands out a batch, waiting until it is ready; the caller owns it until `recycle`.
  ///
  /// A batch that was never requested is loaded before all others, even if `depth` are ready.
  ///
  /// - Throws: `DatasetError` if an example cannot be read or too many cannot, or the loader has
  ///   stopped.
  package func take(_ request: BatchRequest) throws(DatasetError) -> Batch {
    try state.take(request)
  }

  /// Forgets every request that has not been taken: the view has changed, the shares with it.
  ///
  /// A `take` that is waiting goes on waiting, and gets its batch.
  package func cancelAll() { state.cancelAll() }

  /// Gives a batch's memory back; its pointers are no longer valid.
  package func recycle(_ batch: Batch) { state.recycle(batch) }

  /// Ends the threads and waits for them; a `take` that waits throws. May be called twice.
  package func stop() { state.stop { for thread in threads { thread.join() } } }

  /// What it has done so far.
  package var work: LoaderWork { state.work }

  /// How many load at a time.
  package var threadCount: Int { threads.count }

  /// Bytes allocated for batches so far: flat once training is under way.
  package var allocatedBytes: Int { state.allocatedBytes }
}

/// What fills a batch with examples.
struct BatchFiller: Sendable {
  let training: any ExampleSource
  let evaluation: any ExampleSource
  let order: ExampleOrder
  let views: ViewMaker
  let broken: BrokenExamples?

  /// Writes images and labels of the batch's request.
  ///
  /// - Parameter picture: room for one example of the sources.
  func fill(
    _ batch: Batch, through picture: UnsafeMutablePointer<Float>
  ) throws(DatasetError) {
    let request = batch.request
    let images = batch.images
    let labels = batch.labels
    guard request.rows > 0, let first = images.baseAddress else { return }
    // The example that was wanted last, and the one that `picture` holds: ten crops need it ten times.
    var held: (wanted: Int, index: Int)?
    for row in 0..<request.rows {
      let position = request.firstPosition + UInt64(row)
      let image = first + row * batch.exampleCount
      let source = request.kind == .training ? training : evaluation
      let wanted =
        switch request.kind {
        case .training: order.example(at: position)
        case .evaluation: Int(clamping: position)
        case .tenCrops: Int(clamping: position / UInt64(ViewMaker.tenCrops))
        }
      guard wanted < source.count else {
        image.update(repeating: 0, count: batch.exampleCount)
        labels[row] = -1
        continue
      }
      let index: Int
      if let held, held.wanted == wanted {
        index = held.index
      } else {
        index = try read(wanted, for: position, of: request.kind, into: picture)
        held = (wanted, index)
      }
      let view =
        switch request.kind {
        case .training:
          views.training(seed: order.seed, epoch: order.epoch(of: position), example: index)
        case .evaluation: views.center
        case .tenCrops: views.crop(Int(position % UInt64(ViewMaker.tenCrops)))
        }
      views.write(view, of: picture, into: image)
      labels[row] = source.label(index)
    }
  }

  /// Reads an example, or, if it is broken, the next of its set that is not. Of what only this machine
  /// cannot read nothing takes the place: others can, and theirs would be another batch.
  ///
  /// - Returns: which one it is.
  private func read(
    _ wanted: Int, for position: UInt64, of kind: BatchRequest.Kind,
    into picture: UnsafeMutablePointer<Float>
  ) throws(DatasetError) -> Int {
    let isTraining = kind == .training
    let source = isTraining ? training : evaluation
    let failure: DatasetError
    do throws(DatasetError) {
      try source.write(wanted, into: picture)
      broken?.noteRead()
      return wanted
    } catch {
      guard let broken, !error.isOfMachine else { throw error }
      try broken.note(error, wanted, isTraining: isTraining)
      failure = error
    }
    var next = wanted
    while true {
      next = isTraining ? order.successor(of: next, at: position) : (next + 1) % source.count
      guard next != wanted else {
        // More likely this machine's mount than all of the data.
        throw DatasetError("dataset", "no example can be read: \(failure)")
      }
      do throws(DatasetError) {
        try source.write(next, into: picture)
        return next
      } catch  where error.isOfMachine {
        throw error
      } catch {
        // It is counted when its own turn comes.
        continue
      }
    }
  }
}
