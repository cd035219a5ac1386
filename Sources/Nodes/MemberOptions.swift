package import Messages
package import Training

/// How a worker, FC node or server shard is started.
package struct MemberOptions: Sendable {
  package var role: Role
  /// The server's address: all a member needs to know.
  package var server: String
  /// Where an FC node or a shard listens; ignored by workers, who only dial out.
  package var listen: String
  /// What other nodes dial, where that differs from what `listen` says (a wildcard, a container).
  package var advertise: String?
  package var preferredRank: Int
  /// Parameter servers that the run must have, where a shard was told; `nil` takes any number.
  package var serverShards: Int?
  /// Kernel threads; 0 takes what the environment gives.
  package var threads: Int
  /// How long to look for the server before giving up, seconds.
  package var joinTimeoutSeconds: Int
  /// Seconds without a connection to the server after which a member gives up.
  package var serverTimeoutSeconds: Int
  /// What the node is given instead of finding it by the configuration that the server sends.
  package var inputs: RunInputs
  /// Keys; `nil` encrypts nothing.
  package var security: MemberSecurity?
  /// Whether operators may have faults done to this process.
  package var allowsDrills: Bool
  /// The folder for the flight recorder; `nil` for none.
  package var flightFolder: String?

  package init(role: Role, server: String) {
    self.role = role
    self.server = server
    listen = "tcp://*:0"
    preferredRank = -1
    threads = 0
    joinTimeoutSeconds = 60
    serverTimeoutSeconds = 10
    inputs = RunInputs()
    allowsDrills = false
  }
}
