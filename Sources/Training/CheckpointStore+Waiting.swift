/// What cannot be read now and may be in a moment: a file server that is away, a machine without
/// memory or descriptors.
extension CheckpointStore {
  /// How often it is tried; a wait is a second long.
  static let attempts = 60

  /// Runs a body again for as long as it fails for a reason that passes by itself, for a minute: for
  /// who comes back by itself, and has nobody to do it for him.
  ///
  /// - Parameters:
  ///   - wait: waits a second, and says whether another attempt is to be made.
  ///   - note: is given each different line once.
  package static func untilReadable<Value>(
    wait: () -> Bool, _ note: (String) -> Void,
    _ body: ((String) -> Void) throws(CheckpointError) -> Value
  ) throws(CheckpointError) -> Value {
    var said: Set<String> = []
    func say(_ lines: [String]) {
      for line in lines where said.insert(line).inserted { note(line) }
    }
    var attempt = 1
    while true {
      var lines: [String] = []
      do throws(CheckpointError) {
        let value = try body { lines.append($0) }
        say(lines)
        return value
      } catch {
        say(lines)
        guard error.passesByItself, attempt < attempts else { throw error }
        if attempt == 1 { note("\(error); it is tried again every second for a minute") }
        attempt += 1
        guard wait() else { throw error }
      }
    }
  }
}
