import Nodes
import Observability

/// `--http` and `--http-token-file`.
enum HTTPArguments {
  /// What `crosscut train` does by itself: a page for this machine, at a port that is free.
  static let trainStandard = "127.0.0.1:0"
  static let off = "off"
}

extension Option {
  /// Where the page about the run is.
  static func http(standard: String) -> Option {
    Option(
      name: "http", value: .text("[HOST:]PORT"),
      help:
        "Serve a page about the run, its status as JSON and Prometheus metrics there; without HOST"
        + " on this machine only, port 0 takes a free one, off for none.",
      standard: standard)
  }

  static let httpTokenFile = Option(
    name: "http-token-file", value: .text("FILE"),
    help:
      "A file with a secret that the page and programs must show (Authorization: Bearer SECRET).",
    standard: "none: whoever reaches the port may look")
}

extension ParsedArguments {
  /// What the HTTP server is started with; `nil` for none.
  ///
  /// - Throws: `UsageError` for an address or a token that cannot be used.
  func httpOptions(standard: String) throws(UsageError) -> HTTPServer.Options? {
    let text = string("http") ?? standard
    guard text != HTTPArguments.off else { return nil }
    do throws(ObservabilityError) {
      return .init(address: try HTTPAddress(text), token: try httpToken())
    } catch {
      throw UsageError(command: command.name, message: "\(label("http")) \(error)")
    }
  }

  private func httpToken() throws(ObservabilityError) -> AccessToken? {
    guard let path = string("http-token-file") else { return nil }
    let text: String
    do throws(NodeError) {
      text = try TextFile.read(path: path) { Console.printError("crosscut: warning: \($0)") }
    } catch {
      throw ObservabilityError("with \(label("http-token-file")): \(error.message)")
    }
    do throws(ObservabilityError) {
      return try AccessToken(text: text)
    } catch {
      throw ObservabilityError("with \(label("http-token-file")) \(path): \(error)")
    }
  }

  /// The same for a server process of its own. The secret stays in its file.
  func httpServerArguments(_ options: HTTPServer.Options?) -> [String] {
    guard let options else { return ["--http", HTTPArguments.off] }
    return ["--http", "\(options.address)"]
      + (string("http-token-file").map { ["--http-token-file", $0] } ?? [])
  }
}
