import Glibc
import Tensors
import Testing

@testable import Datasets

@Suite struct ImageFolderTests {
  private static func tree(_ files: [String]) throws -> TemporaryDirectory {
    let directory = TemporaryDirectory()
    let bytes = try golden("squares.jpg")
    for file in files { directory.write(file, bytes) }
    return directory
  }

  @Test func `classes and examples are sorted by name, whatever the disk's order`() throws {
    let directory = try Self.tree([
      "train/zebra/2.JPEG", "train/zebra/10.jpg", "train/ant/b.png", "train/Bee/x.jpeg",
      "train/ant/notes.txt", "train/ant/.hidden.jpg", "test/ant/1.jpg",
    ])
    directory.write("train/README", [1])
    let (train, test) = try ImageFolderDataset.folders(directory: directory.path)
    #expect(train.classNames == ["Bee", "ant", "zebra"])
    #expect(
      train.examples.map { $0.path.dropFirst(directory.path.count) } == [
        "/train/Bee/x.jpeg", "/train/ant/b.png", "/train/zebra/10.jpg", "/train/zebra/2.JPEG",
      ])
    #expect(train.examples.map(\.label) == [0, 1, 2, 2])
    // The test set's labels are the training set's, though it has one class only.
    #expect(test?.examples.map(\.label) == [1])
  }

  @Test func `pictures of any size become examples of one`() throws {
    let directory = try Self.tree(["train/a/1.jpg", "val/a/1.jpg"])
    directory.write("train/b/2.png", try golden("alpha.png"))
    let pair = try ImageFolderDataset.open(directory: directory.path, side: 8)
    #expect(pair.train.shape.extents == [3, 8, 8])
    #expect(pair.classNames == ["a", "b"])
    let pixels = try picture(0, of: pair.train)
    // Red above left, white below right.
    for (channel, level) in [Float(255), 0, 0].enumerated() {
      #expect(abs(pixels[channel * 64] - level) <= 3)
      #expect(abs(pixels[channel * 64 + 63] - 255) <= 3)
    }
    #expect(try picture(1, of: pair.train).allSatisfy { (0...255).contains($0) })
  }

  @Test func `what is called a picture and is none is refused by its path, and not waited for`()
    throws
  {
    let directory = try Self.tree(["train/a/1.jpg"])
    let folder = "\(directory.path)/train/a"
    #expect(mkfifo("\(folder)/2.jpg", 0o600) == 0)
    #expect(symlink("nowhere", "\(folder)/3.jpg") == 0)
    directory.write("train/a/4.jpg", [])
    let (train, _) = try ImageFolderDataset.folders(directory: directory.path)
    let source = try ImageFolderSource(folder: train, side: 8)
    #expect(source.count == 4)
    for (index, why) in [
      (1, "is not a regular file"), (2, "cannot be opened: No such file or directory"),
      (3, "is empty"),
    ] {
      #expect(throws: DatasetError("\(folder)/\(index + 1).jpg", why)) {
        try picture(index, of: source)
      }
    }
    let pipe = "\(directory.path)/train-images-idx3-ubyte"
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(throws: DatasetError(pipe, "is not a regular file")) { try ByteStream(path: pipe) }
  }

  @Test func `a tree without a training folder is the training set`() throws {
    let directory = try Self.tree(["test/1.jpg", "ant/1.jpg"])
    let (train, test) = try ImageFolderDataset.folders(directory: directory.path)
    #expect(train.classNames == ["ant", "test"])
    #expect(test == nil)
    #expect {
      try ImageFolderDataset.open(directory: directory.path, side: 8)
    } throws: { error in
      "\(error)".contains("has no folder test, val or validation beside train")
    }
    let pair = try ImageFolderDataset.open(directory: directory.path, test: ".", side: 8)
    #expect(pair.test.count == 2)
  }

  @Test func `a class that only the test set has is refused`() throws {
    let directory = try Self.tree(["train/ant/1.jpg", "test/bee/1.jpg"])
    #expect(
      throws: DatasetError(
        "\(directory.path)/test/bee", "is no class of the training set, which has 1")
    ) { try ImageFolderDataset.open(directory: directory.path, side: 8) }
  }

  @Test func `a broken picture is an error with its path when it is read`() throws {
    let directory = try Self.tree(["train/a/1.jpg", "test/a/1.jpg"])
    let bytes = try golden("squares.jpg")
    let broken = directory.write("train/a/2.jpg", Array(bytes.prefix(bytes.count / 2)))
    let folder = try ImageFolder("\(directory.path)/train")
    let source = try ImageFolderSource(folder: folder, side: 32)
    #expect(throws: Never.self) { try picture(0, of: source) }
    #expect {
      try picture(1, of: source)
    } throws: { error in
      (error as? DatasetError)?.place == broken
    }
  }

  @Test func `what is no tree of pictures is refused by name`() throws {
    let directory = TemporaryDirectory()
    let missing = "\(directory.path)/nowhere"
    #expect(throws: DatasetError(missing, "is not there")) {
      try ImageFolderDataset.open(directory: missing, side: 8)
    }
    #expect(throws: DatasetError.self) {
      try ImageFolderDataset.open(directory: directory.path, side: 8)
    }
    directory.write("a/readme.txt", [1])
    #expect(throws: DatasetError.self) {
      try ImageFolderDataset.open(directory: directory.path, test: ".", side: 8)
    }
  }
}
