import Kernels
import Network
import Tensors

/// Forward and backward of AlexNet's convolutional part, against PyTorch in the same run.
///
/// A step of ours sets the parameters of all five stages and writes their gradients, as a worker
/// does; PyTorch's has its parameters in place. Bar: direct at least as fast as PyTorch's best,
/// auto at least 1.3 times.
enum ConvolutionStackBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(
      arguments,
      defaults: [
        "python": "", "peer": "Benchmarks/peers/conv_stack.py", "rows": "32", "threads": "2",
        "rounds": "7", "steps": "3", "list": "no",
      ])
    let rows = try options.count("rows")
    let threads = try options.count("threads")
    let steps = try options.count("steps")
    ComputeThreads.use(threads)

    let direct = try Contender(rows: rows, .direct)
    let auto = try Contender(rows: rows, .auto)
    let expected = direct.step()
    try verify("auto against direct", auto.step(), expected)
    var peer: Peer?
    if !options["python"].isEmpty {
      let started = try Peer(
        [options["python"], options["peer"]] + [rows, threads, steps].map(String.init))
      let numbers = try started.readLine().split(separator: " ").compactMap { parse($0) }
      try verify("PyTorch against direct", numbers, expected)
      peer = started
    }
    if options["list"] == "yes" {
      for (left, right) in zip(direct.stack.implementations, auto.stack.implementations) {
        print(
          "\(left.layer.padded(12)) \(left.implementation.padded(44)) \(right.implementation)")
      }
    }
    print("\(rows) rows, \(threads) threads, \(auto.stack.plannedBytes >> 20) MiB planned (auto)")

    var times = [Times(name: "crosscut direct"), Times(name: "crosscut auto")]
    var peerTimes = Times(name: "PyTorch channels_last")
    for _ in 0..<(try options.count("rounds")) {
      times[0].measure(steps: steps) { direct.compute() }
      times[1].measure(steps: steps) { auto.compute() }
      guard let peer else { continue }
      let answer = try peer.ask()
      guard let milliseconds = parse(Substring(answer)) else {
        throw BenchmarkError(description: "the peer answered \(answer)")
      }
      peerTimes.milliseconds.append(milliseconds)
    }
    for time in times + (peer == nil ? [] : [peerTimes]) { print(time.line) }
    guard peer != nil else { return }
    for (time, bar) in zip(times, [1.0, 1.3]) {
      let best = peerTimes.best / time.best
      let median = peerTimes.median / time.median
      print(
        "\(time.name.padded(24)) \(best.text) x PyTorch best to best, \(median.text) x median "
          + "to median; bar \(bar.text): \(best >= bar ? "met" : "MISSED")")
    }
  }

  private static func parse(_ text: Substring) -> Double? {
    Double(text.filter { !$0.isWhitespace })
  }

  /// Pairs of norm and projection (see `Contender.step`): the features agree to rounding, the
  /// gradients to the effect of a few flips. Where two sums differ in the last bit a ReLU or a
  /// maximum may decide otherwise, and one element of a million active ones carries about 1e-3 of
  /// the norm (PyTorch in double precision lies as far from PyTorch in single as we do).
  private static func verify(
    _ what: String, _ actual: [Double], _ expected: [Double]
  ) throws(BenchmarkError) {
    guard actual.count == expected.count else {
      throw BenchmarkError(description: "\(what): \(actual.count) checksums of \(expected.count)")
    }
    for index in stride(from: 0, to: expected.count, by: 2) {
      let norm = expected[index]
      let worst = max(
        abs(actual[index] - norm), abs(actual[index + 1] - expected[index + 1]))
      guard norm.isFinite, norm > 0, worst <= (index == 0 ? 1e-5 : 5e-3) * norm else {
        throw BenchmarkError(
          description: "\(what): tensor \(index / 2) differs: \(actual) and \(expected)")
      }
    }
    print("verified: \(what)")
  }
}

/// A stack with parameters, ready to step.
private struct Contender {
  let stack: ConvolutionStack
  private let vectors: [AlignedBuffer]
  private let gradients: [AlignedBuffer]

  init(rows: Int, _ algorithm: ConvolutionAlgorithm) throws {
    let plan = try alexNet()
    let stack = try ConvolutionStack(
      plan: plan, rows: rows, training: true, algorithm: algorithm)
    self.stack = stack
    vectors = stack.stages.map { stage in
      let buffer = AlignedBuffer(floats: stage.parameterCount)
      let scale = 4 / Float(stage.parameters[0].fanIn).squareRoot()
      for index in 0..<stage.parameterCount {
        buffer.floatPointer[index] = pattern(index, 10 + stage.index) * scale
      }
      return buffer
    }
    gradients = stack.stages.map { AlignedBuffer(floats: $0.parameterCount) }
    for index in stack.input.indices { stack.input[index] = pattern(index, 1) }
    for index in stack.featureGradient.indices { stack.featureGradient[index] = pattern(index, 2) }
  }

  func compute() {
    for stage in stack.stages.indices {
      stack.setParameters(stage: stage, from: vectors[stage].floatPointer)
      stack.forward(stage: stage)
    }
    for stage in stack.stages.indices.reversed() {
      stack.backward(stage: stage)
      stack.writeGradient(stage: stage, into: gradients[stage].floatPointer)
    }
  }

  /// Norm and projection on a fixed pattern of the features and of every stage's gradient.
  func step() -> [Double] {
    compute()
    return checksum(stack.features)
      + stack.stages.flatMap { stage in
        checksum(
          UnsafeBufferPointer(
            start: gradients[stage.index].floatPointer, count: stage.parameterCount))
      }
  }

  private func checksum(_ values: UnsafeBufferPointer<Float>) -> [Double] {
    var squares = 0.0
    var projection = 0.0
    for (index, value) in values.enumerated() {
      squares += Double(value) * Double(value)
      projection += Double(value) * Double(pattern(index, 99))
    }
    return [squares.squareRoot(), projection]
  }
}

/// A fixed number in [-0.5, 0.5) for an element: the same in peers/conv_stack.py.
private func pattern(_ index: Int, _ salt: Int) -> Float {
  var word = UInt64(index + salt * 1_000_003)
  word = ((word ^ (word >> 7)) &* 2_654_435_761) & 0xFFFF_FFFF
  word = ((word ^ (word >> 15)) &* 2_246_822_519) & 0xFFFF_FFFF
  word ^= word >> 13
  return Float(Double(word) / 0x1p32 - 0.5)
}

/// torchvision's AlexNet over 224x224 images.
private func alexNet() throws(NetworkError) -> NetworkPlan {
  let relu = LayerSpec(.activation(.relu))
  let pool = LayerSpec(.pooling(Pooling(window: 3, stride: 2)))
  func conv(_ channels: Int, _ kernel: Int, stride: Int = 1, padding: Int) -> LayerSpec {
    LayerSpec(
      .convolution(
        Convolution(channels: channels, kernel: kernel, stride: stride, padding: padding)))
  }
  return try NetworkPlan(
    input: Shape(3, 224, 224),
    layers: [
      conv(64, 11, stride: 4, padding: 2), relu, pool,
      conv(192, 5, padding: 2), relu, pool,
      conv(384, 3, padding: 1), relu, conv(256, 3, padding: 1), relu,
      conv(256, 3, padding: 1), relu, pool,
      LayerSpec(.fullyConnected(FullyConnected(units: 1000))),
    ])
}
