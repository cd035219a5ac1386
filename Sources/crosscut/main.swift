import Configuration
import Glibc

Console.fillClosedDescriptors()
Console.ignoreBrokenPipes()

SecretArguments.hide()
KernelThreads.makePassive()
DescriptorLimit.raise()

let environment = Environment.ofProcess()
for warning in Environment.warnings(environment, of: CommandLineInterface.allCommands) {
  Console.printError(warning)
}

let interface = CommandLineInterface(
  commands: CommandLineInterface.allCommands, width: Console.width, environment: environment,
  print: { try Console.print($0) })

do {
  exit(try interface.run(Array(CommandLine.arguments.dropFirst())))
} catch let error as UsageError {
  Console.printLastError("\(error)")
  exit(ExitCode.usage)
} catch let error as ConfigurationError {
  Console.printLastError("crosscut: \(error)")
  exit(ExitCode.usage)
} catch {
  Console.printLastError("crosscut: \(error)")
  exit(ExitCode.failure)
}
