import Transport

/// Connections of processes that are not members yet, by incarnation: of each connection the last.
struct VisitorBook {
  private var links: [UInt64: Hub.Link] = [:]
  private var incarnations: [Hub.Link: UInt64] = [:]

  /// The connection over which somebody has asked to join.
  subscript(incarnation: UInt64) -> Hub.Link? { links[incarnation] }

  /// How many there are.
  var count: Int { links.count }

  /// Notes who asks to join, in place of whom it was before over the same connection.
  mutating func note(_ incarnation: UInt64, at link: Hub.Link) {
    forget(link)
    if let other = links[incarnation] { incarnations[other] = nil }
    links[incarnation] = link
    incarnations[link] = incarnation
  }

  /// Forgets a connection.
  mutating func forget(_ link: Hub.Link) {
    guard let incarnation = incarnations.removeValue(forKey: link) else { return }
    links[incarnation] = nil
  }
}
