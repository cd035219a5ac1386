import Coordination
import Messages
import Observability
import Transport

/// What those who are connected may still do: the list may have changed since they came, and the time
/// of a token may be over.
extension ServerNode {
  /// For so long the list is believed without another look at the file, microseconds.
  private static let freshness: Microseconds = 500_000
  /// Between two looks at what it says of the members.
  private static let lookInterval: Microseconds = 1_000_000

  /// Who is at the other end, if it is on the list now; `nil` where there are no keys, too.
  func standing(_ link: Hub.Link) -> Standing? {
    guard let keyDesk, let key = caller(link)?.key else { return nil }
    return keyDesk.security.standing(of: key, noOlderThan: Self.freshness)
  }

  /// Whether somebody may ask for anything.
  func mayAsk(_ link: Hub.Link) -> Bool { keyDesk == nil || standing(link) != nil }

  /// Tells one who is no member that it is not let in any more, and hangs up.
  ///
  /// - Parameter askedForKey: then it understands no other answer.
  func sendAway(_ link: Hub.Link, _ askedForKey: Bool) {
    let why = "its key is not in allowed-keys any more, or its token is over"
    refuseOnce(link, why)
    if askedForKey {
      _ = hub.send(KeyDesk.no(why), to: link)
    } else {
      refuse(link, why)
    }
    // A member that tries it has a second, see below.
    if member(over: link) == nil { hub.hangUp(link) }
  }

  /// Whether somebody was found to be off the list less than a second ago, for the first time in a while.
  func isFirstLook(at key: PublicKey) -> Bool {
    let now = MonotonicClock.now()
    struckOffSince = struckOffSince.filter { now - min(now, $0.value) < 10 * Self.lookInterval }
    // Keys are of those who were on the list: no stranger makes one up.
    let first = struckOffSince[key] ?? now
    struckOffSince[key] = first
    return now - min(now, first) < Self.lookInterval
  }

  /// Puts out members whose keys are not on the list any more.
  ///
  /// At two looks in a row: an editor that empties the file and then writes it is not to end a run.
  func dismissStruckOff(_ now: Microseconds) {
    guard let keyDesk, now - min(now, rightsLook.at) >= Self.lookInterval else { return }
    let before = rightsLook.struckOff
    let gone = homes.filter { node, home in
      guard core.membership[node] != nil, let key = home.caller?.key else { return false }
      if case .node = keyDesk.security.standing(of: key, noOlderThan: Self.freshness) {
        return false
      }
      return true
    }
    rightsLook = (now, Set(gone.keys))
    for node in gone.keys.sorted() where before.contains(node) {
      handle(.dismissed(node, reason: "its key is not in allowed-keys any more"))
    }
  }
}
