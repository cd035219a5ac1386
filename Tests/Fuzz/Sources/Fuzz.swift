import Configuration
import Datasets
import Glibc
import Observability
import Tensors
import Training
import Wire

/// The decoders of bytes from outside, for libFuzzer: `make fuzz` (scripts/fuzz).
///
/// A finding is a crash, a report of a sanitizer, an input that takes too long or too much memory,
/// or one that is accepted and then not understood as what it was.
enum Decoder: String, CaseIterable {
  case wire, safetensors, configuration, idx, status, picture, cifar, prepared

  /// The one that the environment names.
  static let chosen: Decoder = {
    let name = getenv("CROSSCUT_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let decoder = Decoder(rawValue: name) else {
      let known = allCases.map(\.rawValue).joined(separator: ", ")
      print("CROSSCUT_FUZZ_TARGET is \"\(name)\", and not one of \(known)")
      exit(2)
    }
    return decoder
  }()

  func decode(_ bytes: UnsafeBufferPointer<UInt8>) {
    switch self {
    case .wire: Self.wire(bytes)
    case .safetensors: Self.safetensors(bytes)
    case .configuration: Self.configuration(bytes)
    case .idx: Self.idx(bytes)
    case .status: _ = try? StatusRecord.decode(Array(bytes))
    case .picture: Self.picture(bytes)
    case .cifar: Self.cifar(bytes)
    case .prepared: Self.prepared(bytes)
    }
  }

  /// Two bytes for the header's length, the header, then frames of at most 64 bytes.
  private static func wire(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count >= 2 else { return }
    let length = min(Int(bytes[0]) << 8 | Int(bytes[1]), bytes.count - 2)
    var parts = [Frame(copying: Array(bytes[2..<(2 + length)]))]
    var rest = bytes[(2 + length)...]
    while !rest.isEmpty {
      parts.append(Frame(copying: Array(rest.prefix(64))))
      rest = rest.dropFirst(64)
    }
    guard let message = try? WireCodec.decode(parts) else { return }
    guard let again = try? WireCodec.encode(message), (try? WireCodec.decode(again)) != nil else {
      preconditionFailure("accepted, but not to be sent on: \(message)")
    }
  }

  private static func configuration(_ bytes: UnsafeBufferPointer<UInt8>) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let configuration = try? RunConfiguration.parse(text: text, source: "fuzz") else {
      return
    }
    let resolved = configuration.resolvedJSON()
    do {
      let again = try RunConfiguration.parse(text: resolved, source: "resolved")
      precondition(again.resolvedJSON() == resolved, "resolving it again gives something else")
    } catch {
      preconditionFailure("accepted, but not in its resolved form: \(error)")
    }
  }

  private static func safetensors(_ bytes: UnsafeBufferPointer<UInt8>) {
    withFile(bytes) { descriptor in
      guard let reader = try? SafeTensorsReader(path: "/proc/self/fd/\(descriptor)") else { return }
      for name in reader.names { _ = try? reader.tensor(named: name) }
    }
  }

  /// The first byte says whether images or labels are from outside.
  private static func idx(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let first = bytes.first else { return }
    let images: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]
    let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 1, 0]
    let fixed = first & 1 == 0 ? labels : images
    withFile(UnsafeBufferPointer(rebasing: bytes.dropFirst())) { fuzzed in
      fixed.withUnsafeBufferPointer { known in
        withFile(known) { other in
          let names =
            first & 1 == 0 ? ("\(fuzzed)", "\(other)") : ("\(other)", "\(fuzzed)")
          _ = try? IDXDataset.open(
            directory: "/proc/self/fd",
            names: .init(
              trainImages: names.0, trainLabels: names.1, testImages: names.0,
              testLabels: names.1))
        }
      }
    }
  }

  /// A file in memory alone.
  private static func withFile(
    _ bytes: UnsafeBufferPointer<UInt8>, _ body: (Int32) -> Void
  ) {
    var name = Array("/dev/shm/crosscut-fuzz-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    precondition(descriptor >= 0, "mkstemp: errno \(errno)")
    unlink(name)
    defer { close(descriptor) }
    precondition(write(descriptor, bytes.baseAddress, bytes.count) == bytes.count)
    body(descriptor)
  }
}

/// libFuzzer's loop (llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library").
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ testOneInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The program's start, by the name that SwiftPM links an executable's `main` to.
@_cdecl("fuzz_main")
public func fuzzMain(
  _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  var count = count
  var arguments = arguments
  return runDriver(&count, &arguments) { bytes, count in
    Decoder.chosen.decode(UnsafeBufferPointer(start: bytes, count: count))
    return 0
  }
}
