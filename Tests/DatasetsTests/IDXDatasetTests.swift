import Glibc
import Tensors
import Testing

@testable import Datasets

/// A mount that belongs to somebody else looks empty to who may not look into it.
@Suite struct UnreadableFolderTests {
  @Test func `a folder that must not be read is not said to be empty, of any kind of data set`()
    throws
  {
    let directory = TemporaryDirectory()
    chmod(directory.path, 0)
    defer { chmod(directory.path, 0o700) }
    let openers: [() throws -> Void] = [
      { _ = try IDXDataset.open(directory: directory.path) },
      { _ = try CIFARDataset.open(directory: directory.path) },
      { _ = try PreparedDataset(directory: directory.path) },
      { _ = try ImageFolderDataset.folders(directory: directory.path) },
    ]
    for open in openers {
      let error = #expect(throws: DatasetError.self) { try asNobody(open) }
      let text = error.map { "\($0)" } ?? ""
      #expect(
        text.hasPrefix("\(directory.path): cannot be listed: Permission denied: user "), "\(text)")
      #expect(text.hasSuffix(" must be able to read it"), "\(text)")
    }
  }
}

@Suite struct IDXDatasetTests {
  private let directory = TemporaryDirectory()

  private func writeSmall(
    trainLabels: [UInt8] = [0, 2, 1], testLabels: [UInt8] = [2, 0], suffix: String = ""
  ) {
    let pack: ([UInt8]) -> [UInt8] = { suffix == ".gz" ? gzipped($0) : $0 }
    directory.write(
      "train-images-idx3-ubyte" + suffix, pack(idx([3, 2, 2], Array(1...12))))
    directory.write(
      "train-labels-idx1-ubyte" + suffix, pack(idx([trainLabels.count], trainLabels)))
    directory.write(
      "t10k-images-idx3-ubyte" + suffix, pack(idx([2, 2, 2], Array(101...108))))
    directory.write("t10k-labels-idx1-ubyte" + suffix, pack(idx([testLabels.count], testLabels)))
  }

  private func example(_ source: any ExampleSource, _ index: Int) throws -> [Float] {
    var pixels = [Float](repeating: -1, count: source.shape.count)
    try pixels.withUnsafeMutableBufferPointer {
      try source.write(index, into: $0.baseAddress.unsafelyUnwrapped)
    }
    return pixels
  }

  private func message() -> String? {
    do throws(DatasetError) {
      _ = try IDXDataset.open(directory: directory.path)
      return nil
    } catch { return error.description }
  }

  @Test(arguments: ["", ".gz"])
  func `four files make a training and a test set`(suffix: String) throws {
    writeSmall(suffix: suffix)
    let pair = try IDXDataset.open(directory: directory.path)
    #expect(pair.train.count == 3)
    #expect(pair.test.count == 2)
    #expect(pair.train.shape == Shape(1, 2, 2))
    #expect(pair.train.classes == 3)
    #expect(pair.test.classes == 3)
    #expect(pair.classNames == nil)
    #expect((0..<3).map { pair.train.label($0) } == [0, 2, 1])
    #expect(try example(pair.train, 1) == [5, 6, 7, 8])
    #expect(try example(pair.test, 1) == [105, 106, 107, 108])
  }

  @Test func `the four files may have other names`() throws {
    directory.write("a", idx([3, 2, 2], Array(1...12)))
    directory.write("b.gz", gzipped(idx([3], [0, 2, 1])))
    directory.write("c.gz", gzipped(idx([2, 2, 2], Array(101...108))))
    directory.write("d", idx([2], [2, 0]))
    let names = IDXDataset.FileNames(
      trainImages: "a", trainLabels: "b", testImages: "c", testLabels: "d")
    let pair = try IDXDataset.open(directory: directory.path, names: names)
    #expect((0..<3).map { pair.train.label($0) } == [0, 2, 1])
    #expect((0..<2).map { pair.test.label($0) } == [2, 0])
    #expect(try example(pair.train, 0) == [1, 2, 3, 4])
    #expect(try example(pair.test, 0) == [101, 102, 103, 104])
  }

  @Test func `four dimensions are images with channels`() throws {
    writeSmall()
    directory.write("train-images-idx3-ubyte", idx([3, 2, 1, 2], Array(1...12)))
    directory.write("t10k-images-idx3-ubyte", idx([2, 2, 1, 2], Array(1...8)))
    let pair = try IDXDataset.open(directory: directory.path)
    #expect(pair.train.shape == Shape(2, 1, 2))
    #expect(try example(pair.train, 2) == [9, 10, 11, 12])
  }

  @Test func `a missing file says which package has it`() {
    #expect(
      message()
        == "\(directory.path): has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz; "
        + "Fashion-MNIST comes with Debian: apt install dataset-fashion-mnist, "
        + "then /usr/share/datasets/fashion-mnist")
  }

  @Test func `counts that differ are refused`() {
    writeSmall(trainLabels: [0, 1])
    let path = directory.path
    #expect(
      message()
        == "\(path)/train-labels-idx1-ubyte: 2 labels for the 3 images of "
        + "\(path)/train-images-idx3-ubyte")
  }

  @Test func `a test label beyond the training classes is refused`() {
    writeSmall(testLabels: [0, 3])
    #expect(
      message()
        == "\(directory.path)/t10k-labels-idx1-ubyte: label 3, but the training labels end at 2")
  }

  @Test func `test images of another shape are refused`() {
    writeSmall()
    directory.write("t10k-images-idx3-ubyte", idx([2, 2, 3], Array(1...12)))
    #expect(message() == "data set: training images are 1x2x2 and test images 1x2x3")
  }

  @Test func `the fingerprint sees every label and the pixels`() throws {
    writeSmall()
    let path = directory.path
    let first = try IDXDataset.open(directory: path).fingerprint
    #expect(try IDXDataset.open(directory: path).fingerprint == first)
    writeSmall(trainLabels: [0, 1, 2])
    let relabelled = try IDXDataset.open(directory: path).fingerprint
    #expect(relabelled != first)
    writeSmall()
    directory.write("t10k-images-idx3-ubyte", idx([2, 2, 2], [1] + Array(102...108)))
    #expect(try IDXDataset.open(directory: path).fingerprint != first)
    // Compression is not the data's business.
    writeSmall(suffix: ".gz")
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
      unlink("\(path)/\(name)-ubyte")
    }
    #expect(try IDXDataset.open(directory: path).fingerprint == first)
  }

  @Test(
    .enabled(if: access(IDXDataset.fashionMNISTDirectory, F_OK) == 0),
    .timeLimit(.minutes(30)))
  func `Fashion-MNIST is what its authors say`() throws {
    let pair = try IDXDataset.open(directory: IDXDataset.fashionMNISTDirectory)
    #expect(pair.train.count == 60_000)
    #expect(pair.test.count == 10_000)
    #expect(pair.train.shape == Shape(1, 28, 28))
    #expect(pair.train.classes == 10)
    #expect(pair.classNames?[9] == "Ankle boot")
    #expect(pair.train.label(0) == 9)
    #expect(pair.fingerprint == 0xCD0B_3C86_F411_FBDE)
    // The constants everybody uses for this data set: 0.2860 and 0.3530.
    let normalization = try Normalization.meanDeviation(.measured(over: pair.train))
    #expect(abs(normalization.mean[0] - 0.2860) < 5e-5)
    #expect(abs(normalization.standardDeviation[0] - 0.3530) < 5e-5)
  }
}
