import Glibc
import Tensors
import Testing

@testable import Datasets

@Suite(.timeLimit(.minutes(30))) struct PreparationTests {
  /// 3 classes with 5, 4 and 3 training pictures, one test picture each.
  private static func tree(broken: [String] = []) throws -> TemporaryDirectory {
    let directory = TemporaryDirectory()
    let names = ["squares.jpg", "squares-progressive.jpg", "squares-grey.jpg", "grey.png"]
    let pictures = try names.map { try golden($0) }
    for (label, count) in [5, 4, 3].enumerated() {
      for number in 0..<count {
        directory.write("train/class\(label)/\(number).jpg", pictures[(label + number) % 4])
      }
      directory.write("val/class\(label)/0.png", pictures[3])
    }
    for name in broken { directory.write(name, Array(pictures[0].prefix(300))) }
    return directory
  }

  private static func options(_ change: (inout Preparation.Options) -> Void = { _ in })
    -> Preparation.Options
  {
    var options = Preparation.Options()
    options.examplesPerShard = 5
    options.threads = 3
    change(&options)
    return options
  }

  @discardableResult
  private static func prepare(
    _ source: String, to output: String, _ options: Preparation.Options = options(),
    size: Int = 16, skipped: (DatasetError) -> Void = { Issue.record("left out: \($0)") },
    progress: (Preparation.Report) -> Void = { _ in }
  ) throws -> Preparation.Report {
    var preparation = try Preparation(
      source: .open(source, size: size), options: options, directory: output)
    return try preparation.run(onProgress: progress, onSkip: skipped)
  }

  /// Every file of a folder.
  private static func contents(_ folder: String) throws -> [String: [UInt8]] {
    var out: [String: [UInt8]] = [:]
    for name in try Files.names(in: folder) { out[name] = try Files.bytes(of: "\(folder)/\(name)") }
    return out
  }

  @Test(arguments: [PreparedDescription.Encoding.raw, .jpeg])
  func `a prepared set holds the pictures of its source, shuffled`(
    encoding: PreparedDescription.Encoding
  ) throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    let report = try Self.prepare(
      directory.path, to: output, Self.options { $0.encoding = encoding })
    #expect(report.done == 15 && report.total == 15 && report.skipped == 0)
    let pair = try PreparedDataset.open(directory: output)
    let direct = try ImageFolderDataset.open(directory: directory.path, side: 16)
    #expect(pair.classNames == ["class0", "class1", "class2"])
    #expect(pair.train.shape.extents == [3, 16, 16])
    #expect(pair.train.count == 12 && pair.test.count == 3)
    let order = ExampleOrder(seed: 0, count: 12)
    for place in 0..<12 {
      let example = order.example(at: UInt64(place))
      #expect(pair.train.label(place) == direct.train.label(example))
      let (stored, original) = try (
        picture(place, of: pair.train), picture(example, of: direct.train)
      )
      if encoding == .raw {
        #expect(stored == original)
      } else {
        // Colours share a sample among four pixels: the mean of the picture stays.
        let difference = zip(stored, original).reduce(0) { $0 + $1.0 - $1.1 }
        #expect(abs(difference) / Float(stored.count) < 4)
      }
    }
    for index in 0..<3 { #expect(pair.test.label(index) == Int32(index)) }
    let kept = try #require(pair.statistics)
    let measured = try ImageStatistics.measured(over: direct.train)
    #expect(kept.pixelMean == measured.pixelMean)
    #expect(kept.channelMean == measured.channelMean)
    #expect(kept.channelDeviation == measured.channelDeviation)
    #expect(kept.colors == measured.colors)
  }

  // As it can be asked of digits: JPEG has grey pictures too.
  @Test(arguments: [PreparedDescription.Encoding.raw, .jpeg])
  func `a prepared set of grey pictures has one channel`(
    encoding: PreparedDescription.Encoding
  ) throws {
    let directory = TemporaryDirectory()
    Self.writeDigits(directory, side: (16, 16))
    let output = "\(directory.path)/out"
    try Self.prepare(directory.path, to: output, Self.options { $0.encoding = encoding })
    let pair = try PreparedDataset.open(directory: output)
    #expect(pair.train.shape.extents == [1, 16, 16])
    let pixels = try picture(0, of: pair.test)
    let expected = (0..<256).map { Float($0 / 16 * 15) }
    #expect(zip(pixels, expected).allSatisfy { abs($0 - $1) <= (encoding == .raw ? 0 : 8) })
  }

  @Test func `what is no square is not stored in JPEG, and not read from it`() throws {
    let directory = TemporaryDirectory()
    Self.writeDigits(directory, side: (16, 12))
    let output = "\(directory.path)/out"
    #expect {
      try Self.prepare(directory.path, to: output, Self.options { $0.encoding = .jpeg })
    } throws: {
      "\($0)".hasSuffix("1x16x12 is no square, as pictures in JPEG are: --encoding raw")
    }
    try Self.prepare(directory.path, to: output, Self.options { $0.encoding = .raw })
    let text = String(decoding: try Files.bytes(of: "\(output)/dataset.json"), as: UTF8.self)
    directory.write("out/dataset.json", Array(text.replacing("\"raw\"", with: "\"jpeg\"").utf8))
    #expect {
      try PreparedDataset.open(directory: output)
    } throws: {
      "\($0)".hasSuffix("its pictures are JPEG, and 1x16x12 is no square")
    }
  }

  /// Three training digits and a test digit, every row brighter than the one above it.
  private static func writeDigits(_ directory: TemporaryDirectory, side: (Int, Int)) {
    let digit = (0..<(side.0 * side.1)).map { UInt8($0 / side.1 * 15) }
    for (name, count) in [("train", 3), ("t10k", 1)] {
      directory.write(
        "\(name)-images-idx3-ubyte",
        idx([count, side.0, side.1], Array((0..<count).map { _ in digit }.joined())))
      directory.write(
        "\(name)-labels-idx1-ubyte", idx([count], (0..<count).map { UInt8($0) }))
    }
  }

  @Test func `threads change no byte`() throws {
    let directory = try Self.tree()
    try Self.prepare(directory.path, to: "\(directory.path)/one", Self.options { $0.threads = 1 })
    try Self.prepare(directory.path, to: "\(directory.path)/four", Self.options { $0.threads = 4 })
    let one = try Self.contents("\(directory.path)/one")
    #expect(
      one.keys.sorted() == [
        "dataset.json", "index.tsv", "mean.npy", "test-000000.tar", "train-000000.tar",
        "train-000001.tar", "train-000002.tar",
      ])
    #expect(try Self.contents("\(directory.path)/four") == one)
  }

  // A strict preparation ends at the broken picture, as a killed one would: in the middle of a
  // shard. Repaired, it must end as if nothing had happened.
  @Test func `a preparation that was interrupted goes on and makes the same bytes`() throws {
    let directory = try Self.tree()
    try Self.prepare(directory.path, to: "\(directory.path)/whole")
    let victim = "\(directory.path)/train/class1/2.jpg"
    let good = try Files.bytes(of: victim)
    directory.write("train/class1/2.jpg", Array(good.prefix(good.count / 2)))
    let output = "\(directory.path)/parts"
    #expect(throws: DatasetError.self) {
      try Self.prepare(directory.path, to: output, Self.options { $0.isStrict = true })
    }
    #expect {
      try PreparedDataset.open(directory: output)
    } throws: {
      "\($0)".contains("is not finished")
    }
    // What a kill in the middle of a shard leaves behind.
    directory.write("parts/train-000001.tar.part", [1, 2, 3])
    try Files.append(Array("half a line".utf8), to: "\(output)/index.tsv")
    directory.write("train/class1/2.jpg", good)
    let report = try Self.prepare(directory.path, to: output)
    #expect(report.done == 15)
    #expect(report.resumed % 5 == 0)
    #expect(
      try Self.contents(output).filter { !$0.key.hasSuffix(".part") }
        == Self.contents("\(directory.path)/whole"))
  }

  @Test func `broken pictures are left out by name, and end a strict preparation`() throws {
    let broken = ["train/class0/3.jpg", "train/class2/x.png"]
    let directory = try Self.tree(broken: broken)
    // Whole, but of 12 bits a sample; and one of arithmetic coding, which is read as any other.
    var deep = try golden("squares.jpg")
    let frame = try #require((2..<deep.count).first { deep[$0 - 1] == 0xFF && deep[$0] == 0xC0 })
    (deep[frame], deep[frame + 3]) = (0xC1, 12)
    directory.write(broken[1], deep)
    directory.write("train/class2/y.jpg", try golden("squares-arithmetic.jpg"))
    var places: [String] = []
    let output = "\(directory.path)/out"
    let report = try Self.prepare(directory.path, to: output, skipped: { places.append($0.place) })
    #expect(places.sorted() == broken.map { "\(directory.path)/\($0)" })
    #expect(report.skipped == 2 && report.done == 17)
    let dataset = try PreparedDataset(directory: output)
    #expect(dataset.description.sets.map(\.examples) == [12, 3])
    #expect(dataset.description.sets.map(\.skipped) == [2, 0])
    #expect(dataset.counts("train") == [4, 4, 4])
    let table = String(decoding: try Files.bytes(of: "\(output)/skipped.tsv"), as: UTF8.self)
    #expect(broken.allSatisfy { table.contains("\n\($0)\t") })
    #expect {
      try Self.prepare(
        directory.path, to: "\(directory.path)/strict", Self.options { $0.isStrict = true })
    } throws: { error in
      broken.contains { (error as? DatasetError)?.place == "\(directory.path)/\($0)" }
    }
  }

  @Test func `a folder with anything else in it is left alone`() throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    try Self.prepare(directory.path, to: output)
    #expect(
      throws: DatasetError(
        output, "holds a finished data set; remove it first, or choose another folder")
    ) { try Self.prepare(directory.path, to: output) }
    #expect(throws: DatasetError.self) {
      try Self.prepare(directory.path, to: "\(directory.path)/val")
    }
    let begun = "\(directory.path)/begun"
    mkdir(begun, 0o700)
    _ = try Preparation(
      source: .open(directory.path, size: 16), options: Self.options(), directory: begun)
    directory.write("begun/preparing", Array(#"{"fingerprint":"1","position":0}"#.utf8))
    #expect(throws: DatasetError.self) { try Self.prepare(directory.path, to: begun) }
  }

  @Test func `a preparation goes on only with the same data and options`() throws {
    let directory = try Self.tree(broken: ["train/class0/9.jpg"])
    let output = "\(directory.path)/out"
    let strict = Self.options { $0.isStrict = true }
    #expect(throws: DatasetError.self) { try Self.prepare(directory.path, to: output, strict) }
    for (size, options) in [
      (17, Self.options()), (16, Self.options { $0.quality = 80 }),
      (16, Self.options { $0.examplesPerShard = 6 }),
    ] {
      #expect {
        try Self.prepare(directory.path, to: output, options, size: size)
      } throws: {
        "\($0)".contains("holds a preparation of other data or with other options")
      }
    }
  }

  @Test func `a folder has one preparation at a time`() throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    do {
      let first = try Preparation(
        source: .open(directory.path, size: 16), options: Self.options(), directory: output)
      #expect {
        try Self.prepare(directory.path, to: output)
      } throws: {
        "\($0)" == "\(output): another process is preparing a data set there"
      }
      withExtendedLifetime(first) {}
    }
    try Self.prepare(directory.path, to: output)
  }

  @Test func `what fails in the last moment is gone on with`() throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    // In the way of the description.
    mkdir(output, 0o700)
    mkdir("\(output)/dataset.json.part", 0o700)
    #expect {
      try Self.prepare(directory.path, to: output)
    } throws: {
      "\($0)".contains("dataset.json.part: cannot be made")
    }
    rmdir("\(output)/dataset.json.part")
    try Self.prepare(directory.path, to: output)
    #expect(try PreparedDataset(directory: output).source("train").count == 12)
    #expect(!Files.exists("\(output)/skipped.tsv"))
  }

  @Test func `progress that was cut off is refused`() throws {
    let directory = try Self.tree(broken: ["train/class2/1.jpg"])
    let output = "\(directory.path)/out"
    let strict = Self.options { $0.isStrict = true }
    #expect(throws: DatasetError.self) { try Self.prepare(directory.path, to: output, strict) }
    let bytes = try Files.bytes(of: "\(output)/preparing")
    directory.write("out/preparing", Array(bytes.dropLast(9)))
    #expect {
      try Self.prepare(directory.path, to: output)
    } throws: {
      "\($0)".hasSuffix("is broken; remove its folder and begin anew")
    }
  }

  @Test func `examples of two channels are refused`() throws {
    let directory = TemporaryDirectory()
    func number(_ value: UInt8) -> [UInt8] { [0, 0, 0, value] }
    for set in ["train", "t10k"] {
      let head: [UInt8] = [0, 0, 8, 4] + number(3) + number(2) + number(4) + number(4)
      directory.write(
        "\(set)-images-idx3-ubyte", head + [UInt8](repeating: 7, count: 3 * 2 * 4 * 4))
      directory.write("\(set)-labels-idx1-ubyte", [0, 0, 8, 1] + number(3) + [0, 1, 2])
    }
    #expect {
      try Self.prepare(directory.path, to: "\(directory.path)/out")
    } throws: {
      "\($0)".contains("its examples are 2x4x4; one channel or three")
    }
    #expect(!Files.exists("\(directory.path)/out"))
  }

  @Test func `damage is found when it is opened or read`() throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    try Self.prepare(directory.path, to: output)
    let shard = "\(output)/train-000001.tar"
    let bytes = try Files.bytes(of: shard)
    let fingerprint = try PreparedDataset(directory: output).fingerprint

    var flipped = bytes
    flipped[512 + 100] ^= 4
    directory.write("out/train-000001.tar", flipped)
    let source = try PreparedDataset(directory: output).source("train")
    #expect {
      for index in 0..<source.count { _ = try picture(index, of: source) }
    } throws: {
      "\($0)".contains("train-000001.tar, example ") && "\($0)".contains("is damaged")
    }

    directory.write("out/train-000001.tar", Array(bytes.prefix(bytes.count / 2)))
    #expect {
      try PreparedDataset.open(directory: output)
    } throws: {
      "\($0)".hasPrefix(shard) && "\($0)".contains("it was cut off")
    }
    unlink(shard)
    #expect {
      try PreparedDataset.open(directory: output)
    } throws: {
      "\($0)".hasPrefix("\(shard): is missing")
    }
    directory.write("out/train-000001.tar", bytes)

    let index = try Files.bytes(of: "\(output)/index.tsv")
    for cut in [index.count / 2, index.count - 30] {
      directory.write("out/index.tsv", Array(index.prefix(cut)))
      #expect(throws: DatasetError.self) { try PreparedDataset(directory: output) }
    }
    var changed = index
    let last = try #require(changed.lastIndex(of: UInt8(ascii: "p")))
    changed[last] = UInt8(ascii: "q")
    directory.write("out/index.tsv", changed)
    #expect(try PreparedDataset(directory: output).fingerprint != fingerprint)
    directory.write("out/index.tsv", index)
    directory.write("out/mean.npy", [0x93])
    #expect(throws: DatasetError.self) { try PreparedDataset(directory: output) }
    directory.write("out/dataset.json", Array("{}".utf8))
    #expect(throws: DatasetError.self) { try PreparedDataset(directory: output) }
  }

  @Test func `a machine with some of the shards has the groups that are whole`() throws {
    let directory = try Self.tree()
    let output = "\(directory.path)/out"
    // 12 training pictures: shards 0 to 3, of groups 0, 1, 0 and 1.
    try Self.prepare(directory.path, to: output, Self.options { $0.examplesPerShard = 3 })
    let whole = try PreparedDataset.open(directory: output, groups: 2)
    #expect(whole.groups?.held == [0, 1])
    #expect(whole.groups?.members == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]])
    #expect(try PreparedDataset.open(directory: output).groups == nil)

    let shard = "\(output)/train-000003.tar"
    let bytes = try Files.bytes(of: shard)
    unlink(shard)
    let some = try PreparedDataset.open(directory: output, groups: 2)
    #expect(some.groups?.held == [0])
    #expect(some.groups?.description == "0 of 2 shard groups")
    #expect(some.fingerprint == whole.fingerprint)
    #expect(some.train.count == 12)
    #expect(try picture(7, of: some.train) == picture(7, of: whole.train))
    #expect(throws: DatasetError.self) { try picture(9, of: some.train) }
    // Of a copy that was cut off nobody knows how much there is.
    directory.write("out/train-000003.tar", Array(bytes.prefix(700)))
    #expect {
      try PreparedDataset.open(directory: output, groups: 2)
    } throws: {
      "\($0)".contains("train-000003.tar") && "\($0)".contains("it was cut off")
    }
    #expect {
      try PreparedDataset.open(directory: output, groups: 5)
    } throws: {
      "\($0)".contains("its 4 training shards cannot be dealt to 5 groups, group 4 has none")
    }
  }

  @Test func `bytes of memory become raw shards of the same pixels`() throws {
    let directory = TemporaryDirectory()
    for batch in 1...5 {
      directory.write(
        "data_batch_\(batch).bin", [UInt8(batch)] + (0..<3072).map { UInt8($0 % 256) })
    }
    directory.write("test_batch.bin", [9] + Array(repeating: 7, count: 3072))
    let output = "\(directory.path)/out"
    try Self.prepare(directory.path, to: output, Self.options { $0.encoding = .raw })
    let pair = try PreparedDataset.open(directory: output)
    #expect(pair.train.shape.extents == [3, 32, 32])
    #expect(try picture(2, of: pair.train) == (0..<3072).map { Float($0 % 256) })
    #expect(Set((0..<5).map(pair.train.label)) == [1, 2, 3, 4, 5])
    #expect(try PreparedDataset.open(directory: output, test: "train").test.count == 5)
  }

  @Test func `sums over many bright examples are exact`() throws {
    let directory = TemporaryDirectory()
    for batch in 1...5 {
      let example = [UInt8(batch)] + Array(repeating: UInt8(255), count: 3072)
      directory.write("data_batch_\(batch).bin", (0..<130).flatMap { _ in example })
    }
    directory.write("test_batch.bin", [9] + Array(repeating: 7, count: 3072))
    let output = "\(directory.path)/out"
    try Self.prepare(
      directory.path, to: output,
      Self.options {
        $0.encoding = .raw
        $0.examplesPerShard = 600
      })
    let statistics = try #require(try PreparedDataset.open(directory: output).statistics)
    #expect(statistics.examples == 650)
    #expect(statistics.pixelMean.allSatisfy { $0 == 255 })
    #expect(statistics.channelMean == [255, 255, 255])
    #expect(statistics.channelDeviation == [0, 0, 0])
  }

  @Test func `a tar header is what tar writes`() {
    let header = TarArchive.header(name: "000000007.cls", size: 3)
    #expect(header.count == 512)
    #expect(String(decoding: header[..<13], as: UTF8.self) == "000000007.cls")
    #expect(String(decoding: header[124..<135], as: UTF8.self) == "00000000003")
    #expect(String(decoding: header[257..<262], as: UTF8.self) == "ustar")
    let stated = Int(String(decoding: header[148..<154], as: UTF8.self), radix: 8)
    var blank = header
    for index in 148..<156 { blank[index] = 32 }
    #expect(stated == blank.reduce(0) { $0 + Int($1) })
    #expect([0, 1, 511, 512, 513].map(TarArchive.padding) == [0, 511, 1, 0, 511])
  }
}
