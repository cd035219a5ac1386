import Foundation
import Testing

/// Completion and manual page, tried with the programs that read them.
@Suite(.timeLimit(.minutes(30)))
struct CompletionTests {
  /// Runs a script by bash; gives its code and all it prints.
  private func bash(_ script: String) throws -> (code: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    process.environment = ["PATH": "/usr/bin:/bin", "CROSSCUT": Program.path, "LC_ALL": "C.UTF-8"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  /// What bash offers where the last of `words` is being typed.
  private func offers(_ words: [String]) throws -> [String] {
    let quoted = words.map { "'\($0)'" }.joined(separator: " ")
    let (code, output) = try bash(
      """
      eval "$("$CROSSCUT" completion bash)"
      COMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count - 1)
      _crosscut
      printf '%s\\n' "${COMPREPLY[@]}"
      """)
    #expect(code == 0, "\(output)")
    return output.split(separator: "\n").map(String.init)
  }

  @Test func `bash takes the script without a complaint`() throws {
    let (code, output) = try bash(#""$CROSSCUT" completion bash | bash -n"#)
    #expect(code == 0 && output.isEmpty, "\(output)")
  }

  @Test(arguments: [
    (["crosscut", "wor"], ["worker"]),
    (["crosscut", "worker", "--jo"], ["--join", "--join-timeout"]),
    (["crosscut", "train", "--fc"], ["--fc-loss", "--fc-mirror", "--fc-nodes"]),
    (["crosscut", "model", ""], ["list", "show"]),
    (["crosscut", "model", "show", "--js"], ["--json"]),
    (
      ["crosscut", "train", "--set", "x=1", "--se"],
      ["--secure", "--seed", "--server-shards", "--set"]
    ),
    (["crosscut", "nonsense", "--se"], []),
  ])
  func `bash offers commands and the options of each`(words: [String], expected: [String]) throws {
    #expect(try offers(words).sorted() == expected)
  }

  @Test func `another shell is refused in one line`() throws {
    let (code, output) = try Program.run("completion", "fish")
    #expect(code == 2)
    #expect(output == "crosscut completion: expected bash or zsh, not \"fish\"\n")
  }

  @Test func `zsh's script has every command and closes what it opens`() throws {
    let (code, script) = try Program.run("completion", "zsh")
    #expect(code == 0)
    for word in ["#compdef crosscut", "(\"worker\")", "(\"model show\")", "--join="] {
      #expect(script.contains(word), "\(word)")
    }
    // It is valid for bash's parser too, but for zsh's own expansions.
    #expect(script.count(where: { $0 == "'" }) % 2 == 0)
    #expect(script.count(where: { $0 == "[" }) == script.count(where: { $0 == "]" }))
  }

  @Test func `man renders the page without a warning, every command and option in it`() throws {
    let (code, page) = try bash(#""$CROSSCUT" man | MANWIDTH=80 man --warnings -l - 2>&1"#)
    guard code != 127 else { return }
    #expect(code == 0, "\(page.suffix(500))")
    #expect(!page.contains("warning"), "\(page.prefix(500))")
    let text = page.replacing("\u{8}", with: "")
    for word in ["crosscut worker", "crosscut keygen", "EXIT STATUS"] {
      #expect(text.contains(word), "\(word)")
    }
    let source = try Program.run("man").output
    #expect(source.contains("\\-\\-fc\\-nodes M"))
  }
}
