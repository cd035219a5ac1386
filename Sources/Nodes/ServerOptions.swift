import Messages
package import Observability
package import Training

/// How a parameter server is started.
package struct ServerOptions: Sendable {
  /// Where members and observers dial in.
  package var listen: String
  /// Where model, metrics and resolved configuration go; `nil` writes nothing.
  package var runDirectory: RunDirectory?
  package var threads: Int
  /// Keys; `nil` encrypts nothing and lets everybody in.
  package var security: ServerSecurity?
  /// Where the run goes on; `nil` starts anew.
  package var resume: Checkpoint?
  /// Whether the run was under way before in this run directory, even if it has no checkpoint.
  package var goesOn = false
  /// Whether the server before this one in the run directory has died.
  var followsDeath = false
  /// What operators have made of the learning rate; `nil` for what run directory and checkpoint say.
  var rateChanges: [RateChange]?
  /// What is to be read in the event log about how the run goes on.
  var news: [String] = []
  /// The web page and its endpoints; `nil` for none.
  package var http: HTTPServer.Options?
  /// Whether operators may have faults done to this process.
  package var allowsDrills = false

  package init(
    listen: String, runDirectory: RunDirectory? = nil, resume: Checkpoint? = nil, threads: Int = 0,
    http: HTTPServer.Options? = nil
  ) {
    self.listen = listen
    self.runDirectory = runDirectory
    self.resume = resume
    self.threads = threads
    self.http = http
  }
}

extension ServerOptions {
  /// What operators have made of the learning rate in earlier lives of the server, where that is more
  /// than the checkpoint says.
  func keptRateChanges(_ log: Logger) -> [RateChange]? {
    if let rateChanges { return rateChanges }
    guard goesOn, let directory = runDirectory else { return nil }
    let file = RateFile(in: directory)
    do throws(NodeError) {
      let known = resume?.manifest.rateChanges ?? []
      // A change for which the disk had no room may be in a checkpoint since.
      return try file.read().map { changes in
        changes + known.filter { $0.firstStep > changes.last?.firstStep ?? 0 }
      }
    } catch {
      log.warning("\(error)")
      return nil
    }
  }
}
