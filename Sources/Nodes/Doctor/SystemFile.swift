/// What the kernel says in files.
enum SystemFile {
  /// Empty for a file that is not there.
  static func text(_ path: String) -> String { RunDirectory.text(of: path) ?? "" }

  /// What follows a name and its colon, on the first such line.
  static func line(after name: String, in path: String) -> String {
    for line in text(path).split(separator: "\n") where line.hasPrefix(name) {
      return String(line.split(separator: ":", maxSplits: 1).last ?? "")
    }
    return ""
  }

  static func number(after name: String, in path: String) -> Int? {
    let name = name.hasSuffix(":") ? String(name.dropLast()) : name
    return line(after: name, in: path).split(separator: " ").first.flatMap { Int($0) }
  }

  /// The number behind a word and a space, on the line that begins so.
  static func word(after name: String, in path: String) -> Int? {
    for line in text(path).split(separator: "\n") where line.hasPrefix("\(name) ") {
      return Int(line.dropFirst(name.utf8.count + 1))
    }
    return nil
  }
}
