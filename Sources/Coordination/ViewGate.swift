package import Messages

/// Lets through the messages of the present view, drops older ones, and keeps newer ones until
/// their view has arrived: nodes learn of a view at different moments, and dropping what comes
/// early would lose it for ever (docs/view.pml finds the deadlock at once).
package struct ViewGate: Sendable {
  package enum Verdict: Hashable, Sendable {
    case accept
    case drop(Reason)
    case keep
  }

  package enum Reason: String, Hashable, Sendable, CaseIterable {
    case otherRun, oldView, notAMember, oldIncarnation, tooManyEarly, stale, duplicate, future
    case wrongSize, unexpected
  }

  /// Most messages kept for views to come. In a healthy change these are at most the chunks of the
  /// parameters and one turn's activations.
  package static let maximumKept = 16_384

  package let run: UInt64
  package let serverIncarnation: UInt64
  package private(set) var view: View?
  private var kept: [Message] = []
  /// Members of the present view that were complained of.
  private var complained: Set<NodeID> = []
  /// Messages dropped so far, by reason.
  package private(set) var dropped: [Reason: UInt64] = [:]

  package init(run: UInt64, serverIncarnation: UInt64) {
    self.run = run
    self.serverIncarnation = serverIncarnation
  }

  /// Messages that wait for their view.
  var keptCount: Int { kept.count }

  package var droppedCount: UInt64 { dropped.values.reduce(0, +) }

  package mutating func count(_ reason: Reason) { dropped[reason, default: 0] += 1 }

  /// Counts a message that does not fit the plan: "features of another size".
  ///
  /// - Returns: what the server and the log are to be told of its sender, once a view.
  mutating func complaint(of sender: NodeID, _ what: String) -> (body: Body, note: String)? {
    count(.wrongSize)
    guard complained.insert(sender).inserted else { return nil }
    let name = view?.member(sender).map { "\($0.name)" } ?? "\(sender)"
    return (
      .complaint(Complaint(node: sender, reason: what)),
      "\(name) sends \(what)"
    )
  }

  /// Whether a message that stands above views (a new view, the end) is this run's server's own;
  /// one that is not is counted.
  package mutating func admitsFromServer(_ header: Header) -> Bool {
    if header.run != run {
      count(.otherRun)
    } else if header.sender != .server {
      count(.unexpected)
    } else if header.incarnation != serverIncarnation {
      count(.oldIncarnation)
    } else {
      return true
    }
    return false
  }

  /// Whether a message belongs to the present view; those of a later one are kept here.
  package mutating func admit(_ message: Message) -> Bool {
    switch verdict(message.header) {
    case .accept: return true
    case .drop(let reason): count(reason)
    case .keep:
      if kept.count < Self.maximumKept { kept.append(message) } else { count(.tooManyEarly) }
    }
    return false
  }

  /// What to do with a message, by its header alone.
  package func verdict(_ header: Header) -> Verdict {
    guard header.run == run else { return .drop(.otherRun) }
    let present = view?.number ?? 0
    if header.view < present { return .drop(.oldView) }
    if header.view > present { return .keep }
    if header.sender == .server {
      return header.incarnation == serverIncarnation ? .accept : .drop(.oldIncarnation)
    }
    guard let member = view?.member(header.sender) else { return .drop(.notAMember) }
    return member.incarnation == header.incarnation ? .accept : .drop(.oldIncarnation)
  }

  /// Moves to a newer view.
  ///
  /// - Returns: the messages that had come early for it, in order of arrival; `nil` if the view is
  ///   not newer than the present one.
  package mutating func advance(to next: View) -> [Message]? {
    guard next.number > (view?.number ?? 0) else {
      count(.oldView)
      return nil
    }
    view = next
    complained = []
    let early = kept
    kept = early.filter { $0.header.view > next.number }
    return early.filter { $0.header.view == next.number }
  }
}
