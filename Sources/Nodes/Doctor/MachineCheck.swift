import CLinux
import Glibc
import Kernels
import Transport

/// Looks at the machine a node is to run on.
package enum MachineCheck {
  /// Everything that needs no network, in a moment.
  package static func findings() -> [Finding] {
    [cores(), memory(), instructions(), descriptors(), clock(), disk()] + libraries()
  }

  /// Whether a server could listen here where it does by itself.
  ///
  /// - Parameter port: 5555 but for tests.
  package static func port(_ port: UInt16 = 5555) -> Finding {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else {
      return Finding(
        "port", .bad, "no socket: \(String(cString: strerror(errno)).lowercased())",
        advice: "every node needs some: ulimit -n 4096")
    }
    defer { close(descriptor) }
    // As ZeroMQ does: connections that are just closing do not hold a port.
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound != 0 || listen(descriptor, 1) != 0 else {
      return Finding("port", .good, "\(port) is free, for a server")
    }
    return Finding(
      "port", .warning, "\(port): \(String(cString: strerror(errno)).lowercased())",
      advice: "if a server runs here that is right; another one takes crosscut server --listen"
        + " tcp://*:PORT")
  }

  private static func cores() -> Finding {
    let cores = Host.cores
    var text = "\(cores)"
    var usable = Double(cores)
    if let limit = ControlGroup.cores, limit < usable {
      usable = limit
      text += ", of which this container may use \(hundredths(limit))"
    }
    guard let wanted = getenv("OMP_NUM_THREADS").flatMap({ Double(String(cString: $0)) }),
      wanted > usable
    else {
      guard usable < 1 else { return Finding("cores", .good, text) }
      return Finding(
        "cores", .warning, text, advice: "less than one core: give the container more (--cpus)")
    }
    return Finding(
      "cores", .warning, "\(text), OMP_NUM_THREADS=\(Int(wanted))",
      advice:
        "more threads than cores slow one another down: OMP_NUM_THREADS=\(max(1, Int(usable)))")
  }

  private static func memory() -> Finding {
    let system = SystemFile.number(after: "MemAvailable:", in: "/proc/meminfo").map { $0 * 1024 }
    let free = [system, ControlGroup.freeMemory].compactMap { $0 }.min() ?? 0
    let text = "\(mebibytes(free)) free"
    guard free < 512 << 20 else { return Finding("memory", .good, text) }
    return Finding(
      "memory", free < 64 << 20 ? .bad : .warning, text,
      advice: "a node of a small network takes 100 MiB, of AlexNet 2 GiB: free some, or raise the"
        + " container's limit")
  }

  private static func instructions() -> Finding {
    let flags = Set(
      SystemFile.line(after: "flags", in: "/proc/cpuinfo").split(separator: " ").map(String.init))
    let known = ["avx512f", "avx2", "fma", "avx", "sse4_1"].filter(flags.contains)
    guard !flags.contains("avx2") else {
      return Finding("instructions", .good, known.joined(separator: ", "))
    }
    return Finding(
      "instructions", .warning, known.isEmpty ? "none known" : known.joined(separator: ", "),
      advice:
        "without AVX2 oneDNN is several times slower: another machine, or a virtual machine that"
        + " passes its host's processor on")
  }

  private static func descriptors() -> Finding {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return Finding("open files", .warning, "unknown", advice: "ulimit -n says how many")
    }
    let count = limit.rlim_cur
    guard count < 1024 else { return Finding("open files", .good, "\(count)") }
    return Finding(
      "open files", count < 64 ? .bad : .warning, "\(count)",
      advice: "a server needs two for each node and some more: ulimit -n 4096")
  }

  private static func clock() -> Finding {
    // 2026-01-01: this program is not older.
    guard time(nil) > 1_767_225_600 else {
      return Finding(
        "clock", .bad, "it is behind this program's own date",
        advice: "set it: tokens have an end, and logs are told apart by their times")
    }
    let isSynchronised = crosscut_clock_is_synchronised() != 0
    guard !isSynchronised else { return Finding("clock", .good, "synchronised") }
    return Finding(
      "clock", .warning, "not synchronised",
      advice: "training does not need it, but tokens and logs do: install chrony")
  }

  private static func disk() -> Finding {
    var status = statvfs()
    guard statvfs(".", &status) == 0 else {
      return Finding("disk", .warning, "unknown", advice: "is the current folder readable?")
    }
    let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
    guard free < 1 << 30 else {
      return Finding("disk", .good, "\(mebibytes(Int(clamping: free))) free in this folder")
    }
    return Finding(
      "disk", .warning, "\(mebibytes(Int(clamping: free))) free in this folder",
      advice:
        "a server keeps checkpoints below its run's directory: free some, or --run-dir elsewhere"
    )
  }

  private static func libraries() -> [Finding] {
    let zeromq = "libzmq \(TransportLibrary.version)"
    let oneDNN = Finding("oneDNN", .good, KernelLibrary.version)
    guard KeyPair.isSupported else {
      return [
        Finding(
          "ZeroMQ", .warning, "\(zeromq), without CURVE",
          advice: "it cannot encrypt: install the distribution's libzmq5"), oneDNN,
      ]
    }
    return [Finding("ZeroMQ", .good, "\(zeromq), with CURVE"), oneDNN]
  }

  private static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

  private static func hundredths(_ value: Double) -> String {
    "\((value * 100).rounded() / 100)"
  }
}
