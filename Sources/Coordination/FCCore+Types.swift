package import Messages
package import Tensors

extension FCCore {
  /// What the kernels must know of a turn.
  package struct Pass: Hashable, Sendable {
    package let isTraining: Bool
    package let step: UInt64
    /// Rows that hold an example: the divisor of the mean.
    package let examples: Int
    /// Whether it is the first batch of an evaluation, of which people see some guesses.
    package let isShown: Bool
  }

  /// A worker's rows of the features: labels first, then row blocks.
  package struct FeatureBlock: Sendable {
    package let rows: Range<Int>
    package let frames: [Frame]
  }

  package enum Operation: Sendable {
    /// Segment 0: put the workers' rows together and compute.
    case start(Pass, subBatch: Int, [FeatureBlock])
    /// Segment `index` of a sub-batch, with what the other FC nodes gave in the exchange before it,
    /// by position. `deliver` lists the workers' rows to cut the features' gradient into, in the
    /// last segment of a training turn. The segment that closes the turn makes the report of all
    /// sub-batches.
    case segment(
      index: Int, subBatch: Int, received: [[Frame]], isLast: Bool, deliver: [Range<Int>]?,
      closesTurn: Bool)
    /// The gradients of the parameters, summed over the sub-batches in their order.
    case gradients
    /// Where every sub-batch steps: the gradients of this one, and their step from the version that
    /// it has read into the working one.
    case stepSubBatch(step: UInt64, subBatch: Int)
    /// `step` is committed: let the parameters take its gradient, or make the working version the
    /// committed one.
    case apply(step: UInt64)
    /// The gradients of the neighbour's slice that this node mirrors, from what the neighbour has
    /// handed over and what lies here of the same turn, by sub-batch. `apply` goes for both slices.
    case mirror(step: UInt64, [[Frame]])
    /// Hand out the slices, values and velocities, as they are now, or those that this node mirrors:
    /// the first of them.
    case collect(transfer: UInt32, mirrored: Bool)
    /// Those that follow; they too as they were at `collect`.
    case collectNext
    /// Draw the initial values anew, velocities zero.
    case redraw
    /// Take a piece of a parameter or of its velocity.
    case place(Slice, [Frame])
  }

  package enum Outcome: Sendable {
    case done
    /// A segment's results: what goes to each FC node, to each worker, to the server.
    case segment(SegmentResult)
    /// A part of what is to be handed in; of the whole, the last piece is marked.
    case slices([(Slice, [Frame])])
    case failed(String)
  }

  /// A number that is infinite or not a number, or that the parameters' gradient may make one.
  package struct NotFinite: Hashable, Sendable {
    /// See `Fault.depth`.
    package let depth: Int
    /// "the outputs of fc6 are nan".
    package let what: String
    /// Row of the global batch, if a worker has given the number with its features.
    package let givenRow: Int?

    package init(depth: Int, what: String, givenRow: Int? = nil) {
      self.depth = depth
      self.what = what
      self.givenRow = givenRow
    }
  }

  package struct SegmentResult: Sendable {
    /// By position of the FC node; empty for itself. After the last segment of a training turn only
    /// what the mirror is owed counts.
    package var outgoing: [[Frame]]
    /// By `deliver`'s order; empty but in the last segment of a training turn.
    package var featureGradients: [[Frame]]
    /// Loss, and a frame of counts for the whole batch; in the segment that closes a turn.
    package var report: (lossSum: Double, counts: Frame)?
    /// Guesses for people to look at; with the report of a turn that is shown.
    package var guesses: (Guesses, [Frame])?
    /// What stands against the step; in the last segment of a training turn.
    package var notFinite: NotFinite?

    package init(
      outgoing: [[Frame]], featureGradients: [[Frame]] = [],
      report: (lossSum: Double, counts: Frame)? = nil, guesses: (Guesses, [Frame])? = nil,
      notFinite: NotFinite? = nil
    ) {
      self.guesses = guesses
      self.notFinite = notFinite
      self.outgoing = outgoing
      self.featureGradients = featureGradients
      self.report = report
    }
  }
}
