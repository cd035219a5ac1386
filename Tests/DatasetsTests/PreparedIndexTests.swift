import Glibc
import Testing

@testable import Datasets

@Suite struct PreparedIndexTests {
  private static let lines = [
    "train\t0\t512\t1000\t4294967295\t2\t0\tclass2/ä b.jpg\n",
    "train\t0\t2048\t70\t17\t0\t1\tclass0/\(String(repeating: "long", count: 40)).jpg\n",
    "test\t3\t512\t1\t0\t1\t0\t\n",
  ]

  private static func write(_ directory: TemporaryDirectory, _ text: String) -> String {
    directory.write("index.tsv", Array(text.utf8))
    return "\(directory.path)/index.tsv"
  }

  @Test(arguments: [1, 7, 64, 1 << 20])
  func `lines may go on in the next piece`(pieceBytes: Int) throws {
    let directory = TemporaryDirectory()
    let text = PreparedIndex.header + Self.lines.joined()
    let path = Self.write(directory, text)
    let index = try PreparedIndex(path: path, classes: 3, pieceBytes: pieceBytes)
    let train = try #require(index.parts["train"])
    #expect(train.offsets == [512, 2048])
    #expect(train.checksums == [.max, 17])
    #expect(train.labels == [2, 0])
    #expect(index.parts["test"]?.shards == [3])
    var hash = FowlerNollVo()
    for byte in text.utf8 { hash.add(byte) }
    #expect(index.hash.value == hash.value)
    // The last line may be without its end, and is broken if it lacks more.
    let cut = Self.write(directory, String(text.dropLast()))
    #expect(try PreparedIndex(path: cut, classes: 3, pieceBytes: pieceBytes).parts.count == 2)
    #expect(throws: DatasetError(cut, "line 4 is broken")) {
      _ = try PreparedIndex(
        path: Self.write(directory, String(text.dropLast(2))), classes: 3, pieceBytes: pieceBytes)
    }
  }

  @Test(arguments: [5, 1 << 20])
  func `a broken line is named`(pieceBytes: Int) throws {
    let directory = TemporaryDirectory()
    for broken in ["train\t0\t1\n", "\n", Self.lines[0].replacing("\t2\t0\t", with: "\t3\t0\t")] {
      let path = Self.write(
        directory, PreparedIndex.header + Self.lines[1] + broken + Self.lines[2])
      #expect(throws: DatasetError(path, "line 3 is broken")) {
        _ = try PreparedIndex(path: path, classes: 3, pieceBytes: pieceBytes)
      }
    }
  }

  @Test func `an index of gigabytes is read to the line that is broken`() throws {
    let directory = TemporaryDirectory()
    let path = Self.write(directory, PreparedIndex.header + Self.lines.joined())
    // Zeros that take no room: a line without end, of which no more is read than a line may have.
    try #require(truncate(path, 1 << 40) == 0)
    #expect(throws: DatasetError(path, "line 5 is broken")) {
      _ = try PreparedIndex(path: path, classes: 3)
    }
  }
}
