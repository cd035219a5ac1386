import Tensors
import Testing

@testable import Datasets

/// Records whose pixels say where they stand.
private func records(_ labels: [[UInt8]], first: Int = 0) -> [UInt8] {
  labels.enumerated().flatMap { index, bytes in
    bytes + (0..<3072).map { UInt8(($0 / 3 + first + index) % 251) }
  }
}

@Suite struct CIFARDatasetTests {
  private static func tenFiles(in folder: String, of directory: TemporaryDirectory) {
    for batch in 1...5 {
      directory.write(
        "\(folder)data_batch_\(batch).bin",
        records([[UInt8(batch)], [UInt8(batch + 4)]], first: batch * 10))
    }
    directory.write("\(folder)test_batch.bin", records([[9], [0], [3]]))
  }

  @Test(arguments: ["", "cifar-10-batches-bin/"])
  func `CIFAR-10's batches follow one another, in the folder or in the archive's`(
    folder: String
  ) throws {
    let directory = TemporaryDirectory()
    Self.tenFiles(in: folder, of: directory)
    let names = (0..<10).map { "name \($0)" }
    directory.write(
      "\(folder)batches.meta.txt", Array((names.joined(separator: "\n") + "\n\n").utf8))
    let pair = try CIFARDataset.open(directory: directory.path)
    #expect(pair.train.shape.extents == [3, 32, 32])
    #expect(pair.train.classes == 10)
    #expect((0..<pair.train.count).map(pair.train.label) == [1, 5, 2, 6, 3, 7, 4, 8, 5, 9])
    #expect((0..<pair.test.count).map(pair.test.label) == [9, 0, 3])
    #expect(pair.classNames == names)
    let pixels = try picture(5, of: pair.train)
    let expected = (0..<3072).map { Float(($0 / 3 + 31) % 251) }
    #expect(pixels == expected)
  }

  @Test func `CIFAR-100 has a fine and a coarse label`() throws {
    let directory = TemporaryDirectory()
    directory.write("train.bin", records([[19, 99], [0, 7]]))
    directory.write("test.bin", records([[3, 50]]))
    let fine = try CIFARDataset.open(directory: directory.path)
    #expect(fine.train.classes == 100)
    #expect((0..<2).map(fine.train.label) == [99, 7])
    let coarse = try CIFARDataset.open(directory: directory.path, labels: .coarse)
    #expect(coarse.train.classes == 20)
    #expect((0..<2).map(coarse.train.label) == [19, 0])
    #expect(coarse.test.label(0) == 3)
    #expect(fine.fingerprint != coarse.fingerprint)
    #expect(fine.classNames == nil)
  }

  @Test func `a file that is cut off, or has a label too many, is named`() throws {
    let directory = TemporaryDirectory()
    Self.tenFiles(in: "", of: directory)
    let third = directory.write("data_batch_3.bin", records([[1]]).dropLast())
    #expect(throws: DatasetError(third, "3072 bytes are no whole number of 3073-byte records")) {
      try CIFARDataset.open(directory: directory.path)
    }
    directory.write("data_batch_3.bin", records([[1], [10]]))
    #expect(throws: DatasetError(third, "record 1 has label 10, there are 10 classes")) {
      try CIFARDataset.open(directory: directory.path)
    }
    directory.write("data_batch_3.bin", [])
    #expect(throws: DatasetError.self) { try CIFARDataset.open(directory: directory.path) }
  }

  @Test func `a folder without the files says what is looked for`() {
    let directory = TemporaryDirectory()
    #expect {
      try CIFARDataset.open(directory: directory.path)
    } throws: { error in
      "\(error)".contains("has neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)")
    }
  }
}
