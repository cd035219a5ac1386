import CTurboJPEG
import Configuration
import Datasets
import Glibc
import Kernels
import Network
import Tensors

/// Reading photographs against libjpeg-turbo alone on the same files, and against what a worker
/// that trains AlexNet makes of them.
///
///     benchmarks loader --source FOLDER [--rounds 3] [--batch 32]
///
/// FOLDER holds a folder of pictures for each class. Times are of the processor, of all threads of
/// the process together: other programs on the machine change little, and N cores do N times as
/// much. Rounds of the contenders alternate; the best of each counts.
enum LoaderBenchmark {
  static func run(_ arguments: [String]) throws {
    let options = try Options(arguments, defaults: ["source": "", "rounds": "3", "batch": "32"])
    guard !options["source"].isEmpty else {
      throw BenchmarkError(description: "--source FOLDER is missing: a folder for each class")
    }
    let rounds = try options.count("rounds")
    let source = try PreparationSource.open(options["source"], size: 256)
    guard let folder = source.training as? ImageFolderSource else {
      throw BenchmarkError(description: "\(options["source"]) holds no folders of pictures")
    }
    let work = try temporaryFolder()
    defer { remove(work) }
    let files = try folder.examples.map { try contents($0.path) }
    let count = files.count

    var reference = Times(name: "libjpeg-turbo")
    var smallest = Times(name: "libjpeg-turbo, M/8")
    var decoding = Times(name: "decode and scale")
    var preparing = Times(name: "data prepare")
    var stored = Times(name: "libjpeg-turbo, 256x256")
    var loading = Times(name: "loader")
    var training = Times(name: "a worker's conv layers")
    let step = try worker(rows: options.count("batch"))
    for round in 0..<rounds {
      try reference.measureProcessor(examples: count) {
        try Turbo.decodeAll(files, shorterSide: 256, scales: Turbo.fastScales)
      }
      try smallest.measureProcessor(examples: count) {
        try Turbo.decodeAll(files, shorterSide: 256, scales: Array(1...8))
      }
      let decoder = try ImageDecoder()
      var square = [UInt8](repeating: 0, count: 256 * 256 * 3)
      try decoding.measureProcessor(examples: count) {
        for (file, example) in zip(files, folder.examples) {
          try file.withUnsafeBytes { bytes in
            try decoder.decode(bytes, path: example.path, size: 256, into: &square)
          }
        }
      }
      let output = "\(work)/\(round)"
      try preparing.measureProcessor(examples: count) {
        var preparation = try Preparation(source: source, options: .init(), directory: output)
        _ = try preparation.run(onProgress: { _ in }, onSkip: { _ in })
      }
      try load(output, batch: options.count("batch"), stored: &stored, loading: &loading)
      try training.measureProcessor(examples: options.count("batch"), step)
    }
    print("\(count) pictures, milliseconds of processor time each:")
    for times in [reference, smallest, decoding, preparing, stored, loading, training] {
      print("\(times.line), \((1000 / times.best).text) images/s a core")
    }
    print(
      """
      data prepare against libjpeg-turbo's smallest scale: \((smallest.best / preparing.best).text)
      data prepare against libjpeg-turbo's fastest scale:  \((reference.best / preparing.best).text)
      loader against libjpeg-turbo on the same files:      \((stored.best / loading.best).text)
      loader against what a worker on as many cores takes: \((training.best / loading.best).text)
      """)
  }

  /// A step of AlexNet's conv layers, forward and backward, which is most of what a worker does with
  /// an image.
  private static func worker(rows: Int) throws -> () -> Void {
    ComputeThreads.use(1)
    let plan = try RunConfiguration.load("alexnet-owt", overrides: []).networkPlan()
    let stack = try ConvolutionStack(plan: plan, rows: rows, training: true, algorithm: .auto)
    for stage in stack.stages {
      let values = AlignedBuffer(floats: stage.parameterCount)
      for index in 0..<stage.parameterCount {
        values.floatPointer[index] = Float(index % 7 - 3) * 0.01
      }
      stack.setParameters(stage: stage.index, from: UnsafePointer(values.floatPointer))
    }
    for index in stack.input.indices { stack.input[index] = Float(index % 11 - 5) * 0.1 }
    stack.featureGradient.update(repeating: 1e-3)
    return {
      for stage in stack.stages.indices { stack.forward(stage: stage) }
      for stage in stack.stages.indices.reversed() { stack.backward(stage: stage) }
    }
  }

  /// The training set of a prepared folder, twice, with all of the 2012 paper's augmentation.
  private static func load(
    _ directory: String, batch: Int, stored: inout Times, loading: inout Times
  ) throws {
    let pair = try PreparedDataset.open(directory: directory, test: "train")
    let statistics = pair.statistics
    var augmentation = Augmentation()
    augmentation.flip = true
    augmentation.colorNoise = 0.1
    let views = try ViewMaker(
      source: pair.train.shape, output: Shape(3, 224, 224), augmentation: augmentation,
      normalization: statistics.map { .pixelMean($0) } ?? .none(channels: 3),
      colors: statistics?.colors)
    let files = try PreparedDataset(directory: directory).source("train").storedFiles()
    try stored.measureProcessor(examples: files.count) {
      try Turbo.decodeAll(files, shorterSide: 256, scales: [8])
    }
    let loader = BatchLoader(
      training: pair.train, evaluation: pair.test,
      order: ExampleOrder(seed: 1, count: pair.train.count), views: views)
    defer { loader.stop() }
    let batches = max(1, 2 * pair.train.count / batch)
    try loading.measureProcessor(examples: batches * batch) {
      func request(_ number: Int) -> BatchRequest {
        BatchRequest(kind: .training, firstPosition: UInt64(number * batch), rows: batch)
      }
      for number in 0..<batches {
        for ahead in number..<min(number + 3, batches) { loader.request(request(ahead)) }
        loader.recycle(try loader.take(request(number)))
      }
    }
  }

  private static func temporaryFolder() throws(BenchmarkError) -> String {
    var template = Array("/tmp/crosscut-loader-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else { throw BenchmarkError(description: "mkdtemp: no folder") }
    return made
  }

  private static func contents(_ path: String) throws(BenchmarkError) -> [UInt8] {
    guard let file = fopen(path, "rb") else {
      throw BenchmarkError(description: "\(path): \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var status = stat()
    fstat(fileno(file), &status)
    return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      count = fread(buffer.baseAddress, 1, buffer.count, file)
    }
  }

  /// Removes a folder of folders of files.
  private static func remove(_ path: String) {
    guard let handle = opendir(path) else {
      unlink(path)
      return
    }
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { remove("\(path)/\(name)") }
    }
    closedir(handle)
    rmdir(path)
  }
}

/// libjpeg-turbo alone.
private enum Turbo {
  /// Eighths that have SIMD code.
  static let fastScales = [1, 2, 4, 8]

  /// Decodes every JPEG to the smallest of the scales that leaves the shorter side large enough.
  static func decodeAll(
    _ files: [[UInt8]], shorterSide: Int, scales: [Int]
  ) throws(BenchmarkError) {
    let handle = tjInitDecompress()
    defer { tjDestroy(handle) }
    var pixels: [UInt8] = []
    for file in files {
      var width: Int32 = 0
      var height: Int32 = 0
      var sampling: Int32 = 0
      var colors: Int32 = 0
      guard
        tjDecompressHeader3(
          handle, file, UInt(file.count), &width, &height, &sampling, &colors) == 0
      else { throw BenchmarkError(description: "a file that is no JPEG") }
      let scale =
        scales.first { (Int(min(width, height)) * $0 + 7) / 8 >= shorterSide } ?? 8
      let (scaledWidth, scaledHeight) = (
        (Int(width) * scale + 7) / 8, (Int(height) * scale + 7) / 8
      )
      if pixels.count < scaledWidth * scaledHeight * 4 {
        pixels = Array(repeating: 0, count: scaledWidth * scaledHeight * 4)
      }
      let format =
        colors == Int32(TJCS_CMYK.rawValue) || colors == Int32(TJCS_YCCK.rawValue)
        ? TJPF_CMYK : TJPF_RGBX
      tjDecompress2(
        handle, file, UInt(file.count), &pixels, Int32(scaledWidth), 0, Int32(scaledHeight),
        Int32(format.rawValue), 0)
    }
  }
}

extension Times {
  /// Runs `body`, which does `examples`, and notes the processor's milliseconds of one.
  fileprivate mutating func measureProcessor(examples: Int, _ body: () throws -> Void) throws {
    var before = timespec()
    var after = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before)
    try body()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after)
    let seconds =
      Double(after.tv_sec - before.tv_sec) + Double(after.tv_nsec - before.tv_nsec) * 1e-9
    milliseconds.append(seconds * 1000 / Double(examples))
  }
}
