/// A command that is described but whose work this build does not have.
struct NotInThisBuild: Error, CustomStringConvertible {
  let command: String
  var description: String { "\(command) is not in this build" }
}
