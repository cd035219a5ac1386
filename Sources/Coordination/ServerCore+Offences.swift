import Messages

/// Members that break the protocol, and those of whom others say so.
extension ServerCore {
  /// As often as a process, or whoever has a key, may break the protocol before it may not come
  /// again.
  static let mostOffences = 3

  /// For so long a complaint counts.
  static let complaintAge: Microseconds = 600_000_000

  private mutating func forgetComplaints(_ now: Microseconds) {
    complaints = complaints.filter { now - min(now, $0.value.last) < Self.complaintAge }
  }

  /// Another member's word that one breaks the protocol: nobody can tell who of the two is right.
  /// So the one that is complained of can join again, and what others say of it counts for a while
  /// and for that process only: it locks no key out.
  mutating func take(
    _ complaint: Complaint, from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard complaint.node != record.node, view?.member(complaint.node) != nil,
      let culprit = membership[complaint.node]
    else { return drop(.unexpected) }
    forgetComplaints(now)
    let process = Membership.origin(of: culprit.join, caller: nil)
    let count = (complaints[process]?.count ?? 0) + 1
    complaints[process] = (count, now)
    sendAway(
      culprit, "\(record.name) says that it breaks the protocol: \(complaint.reason)",
      mayJoinAgain: count < Self.mostOffences, now, &out)
  }

  /// Sends a member away that breaks the protocol: an ordinary loss to the others, and it may join
  /// again, but not for ever.
  mutating func putOut(
    _ record: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    let count = offences[record.origin, default: 0] + 1
    offences[record.origin] = count
    sendAway(record, reason, mayJoinAgain: count < Self.mostOffences, now, &out)
  }

  /// Tells a member that it is none any more, and why.
  mutating func sendAway(
    _ record: MemberRecord, _ reason: String, mayJoinAgain: Bool, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    let refusal = Refusal(reason: reason, mayJoinAgain: mayJoinAgain)
    out.append(.send(message(.refusal(refusal)), to: record.node))
    lose(record, reason, now, &out)
  }

  /// Why one may not join; `nil` if it may.
  ///
  /// - Parameter origin: by whom its offences count.
  mutating func lockOut(_ join: Join, _ origin: String, _ now: Microseconds) -> String? {
    if offences[origin, default: 0] >= Self.mostOffences {
      return "it has broken the protocol \(Self.mostOffences) times"
    }
    forgetComplaints(now)
    let count = complaints[Membership.origin(of: join, caller: nil)]?.count ?? 0
    guard count >= Self.mostOffences else { return nil }
    let minutes = Self.complaintAge / 60_000_000
    return "other members have said \(Self.mostOffences) times that it breaks the protocol: it may"
      + " come again \(minutes) minutes after the last time"
  }
}
