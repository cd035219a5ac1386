/// `crosscut completion`: what a shell needs to complete commands and options.
enum CompletionCommand {
  static let command = Command(
    words: ["completion"],
    summary: "print the completion of commands and options for bash or zsh",
    details: [
      "Made from the same descriptions as the help. For bash: source <(crosscut completion bash), or"
        + " put it into /usr/share/bash-completion/completions/crosscut. For zsh: put it into a file"
        + " _crosscut in a folder of $fpath."
    ],
    positionals: [Positional(name: "SHELL", help: "bash or zsh.", isRequired: true)],
    examples: [
      Example(
        line: "crosscut completion bash",
        meaning: "In ~/.bashrc: source <(crosscut completion bash).")
    ],
    run: run)

  /// - Throws: `UsageError` for another shell.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let commands = CommandLineInterface.allCommands
    switch arguments.positional(0) ?? "" {
    case "bash": try Console.print(Completion.bash(commands))
    case "zsh": try Console.print(Completion.zsh(commands))
    case let other:
      throw UsageError(command: "completion", message: "expected bash or zsh, not \"\(other)\"")
    }
    return ExitCode.success
  }
}

/// Completion scripts.
enum Completion {
  /// A script that defines `_crosscut` and registers it.
  static func bash(_ commands: [Command]) -> String {
    var cases = ""
    for command in commands {
      let flags = command.allOptions.filter { $0.valueName == nil }.map { "--\($0.name)" }
      let valued = command.allOptions.filter { $0.valueName != nil }.map { "--\($0.name)" }
      cases +=
        "    \"\(command.name)\") flags=\"\(flags.joined(separator: " "))\""
        + " valued=\"\(valued.joined(separator: " "))\" ;;\n"
    }
    return """
      # bash completion for crosscut: made by `crosscut completion bash`, not to be edited.
      _crosscut() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
        local words=("${COMP_WORDS[@]:1:COMP_CWORD - 1}") command="" flags="" valued=""
        COMPREPLY=()
        case " \(families(commands).joined(separator: " ")) " in
          *" ${words[0]-} "*) command="${words[0]-} ${words[1]-}" ;;
          *) command=${words[0]-} ;;
        esac
        case $command in
      \(cases)  esac
        if [[ -z ${words[0]-} ]]; then
          mapfile -t COMPREPLY < <(compgen -W "\(firstWords(commands).joined(separator: " ")) --help --version" -- "$current")
          return
        fi
      \(seconds(commands))  if [[ " $valued " == *" $previous "* ]]; then
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
        elif [[ $current == -* ]]; then
          mapfile -t COMPREPLY < <(compgen -W "$flags $valued" -- "$current")
        else
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
      }
      complete -o filenames -F _crosscut crosscut

      """
  }

  /// A file `_crosscut` for a folder of `$fpath`.
  static func zsh(_ commands: [Command]) -> String {
    var cases = ""
    for command in commands {
      var specifications: [String] = []
      for option in command.allOptions {
        let help = quoted(option.help)
        let repeated = option.isRepeated ? "*" : ""
        let value = option.valueName.map { "=:\($0):_files" } ?? ""
        specifications.append(
          "'\(repeated)--\(option.name)\(value.isEmpty ? "" : "=")[\(help)]"
            + "\(value.isEmpty ? "" : value.dropFirst())'")
      }
      specifications.append("'*:file:_files'")
      cases +=
        "    (\"\(command.name)\") _arguments \(specifications.joined(separator: " \\\n      ")) ;;\n"
    }
    var names: [String] = []
    for command in commands where command.words.count == 1 {
      names.append("'\(command.name):\(quoted(command.summary))'")
    }
    for family in families(commands) { names.append("'\(family)'") }
    return """
      #compdef crosscut
      # zsh completion for crosscut: made by `crosscut completion zsh`, not to be edited.
      local -a commands families
      commands=(
        \(names.joined(separator: "\n  "))
      )
      families=(\(families(commands).joined(separator: " ")))
      if (( CURRENT == 2 )); then
        _describe command commands
        return
      fi
      local command=$words[2]
      if (( ${families[(Ie)$command]} )); then
        command="$words[2] $words[3]"
        shift words
        (( CURRENT-- ))
      fi
      shift words
      (( CURRENT-- ))
      case $command in
      \(cases)esac

      """
  }

  /// Words that begin commands of two words.
  private static func families(_ commands: [Command]) -> [String] {
    var families: [String] = []
    for command in commands where command.words.count > 1 && !families.contains(command.words[0]) {
      families.append(command.words[0])
    }
    return families
  }

  private static func firstWords(_ commands: [Command]) -> [String] {
    var words: [String] = []
    for command in commands where !words.contains(command.words[0]) {
      words.append(command.words[0])
    }
    return words
  }

  /// The second word of commands of two, in bash.
  private static func seconds(_ commands: [Command]) -> String {
    families(commands).map { family in
      let words = commands.filter { $0.words.count > 1 && $0.words[0] == family }.map {
        $0.words[1]
      }
      return """
          if [[ ${words[0]} == \(family) && ${#words[@]} -eq 1 ]]; then
            mapfile -t COMPREPLY < <(compgen -W "\(words.joined(separator: " "))" -- "$current")
            return
          fi

        """
    }.joined()
  }

  /// Within single quotes and brackets.
  private static func quoted(_ text: String) -> String {
    text.replacing("'", with: "").replacing("[", with: "(").replacing("]", with: ")")
      .replacing(":", with: "\\:")
  }
}
