import Glibc
import Nodes

/// OpenMP's settings, which libgomp reads once, before `main`.
enum KernelThreads {
  /// Commands that call kernels.
  private static let computing: Set<String> = [
    "train", "server", "worker", "fc", "verify", "evaluate", "plan",
  ]

  /// Starts this program anew with `OMP_WAIT_POLICY=passive` where nothing is said about it.
  ///
  /// By default libgomp's threads spin between two kernels; several nodes on one machine then take
  /// each other's cores (41 instead of 50 images/s with two workers of two threads each).
  static func makePassive() {
    guard CommandLine.arguments.count > 1, computing.contains(CommandLine.arguments[1]),
      getenv("OMP_WAIT_POLICY") == nil
    else { return }
    setenv("OMP_WAIT_POLICY", "passive", 1)
    // By its own path, so that `ps` shows its name.
    execv(Host.executable, CommandLine.unsafeArgv)
    // Without /proc it goes on as it is: slower, not wrong.
  }
}
