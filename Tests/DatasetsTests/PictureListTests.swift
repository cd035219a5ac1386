import Tensors
import Testing

@testable import Datasets

@Suite struct PictureListTests {
  private static let folder =
    "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/") + "/Golden"

  private static func picture(_ name: String, channels: Int) throws -> [Float] {
    let list = try PictureList(
      ["\(folder)/\(name)"], shape: Shape(channels, 16, 16), classes: 4)
    #expect(list.count == 1 && list.classes == 4 && list.label(0) == 0)
    var values = [Float](repeating: .nan, count: list.shape.count)
    try list.write(0, into: &values)
    return values
  }

  @Test(arguments: ["squares.jpg", "squares-cmyk.jpg", "alpha.png"])
  func `a network of one channel sees the luma of the colours`(name: String) throws {
    let colors = try Self.picture(name, channels: 3)
    let grey = try Self.picture(name, channels: 1)
    for pixel in 0..<256 {
      let luma =
        0.299 * colors[pixel] + 0.587 * colors[256 + pixel] + 0.114 * colors[512 + pixel]
      #expect(abs(grey[pixel] - luma) < 1e-3)
    }
    #expect(Set(grey).count > 1)
  }

  @Test func `the readable ones are told from the others, which are named`() throws {
    let names = ["squares.jpg", "nowhere.jpg", "alpha.png", "make_pictures.py"]
    let list = try PictureList(
      names.map { "\(Self.folder)/\($0)" }, shape: Shape(3, 16, 16), classes: 4)
    let (readable, refusals) = list.readable()
    #expect(readable.paths == ["squares.jpg", "alpha.png"].map { "\(Self.folder)/\($0)" })
    #expect(refusals.count == 2 && refusals[0].hasPrefix("\(Self.folder)/nowhere.jpg: "))
    #expect(refusals[1].hasPrefix("\(Self.folder)/make_pictures.py: "))
  }

  @Test func `what is no picture is named`() throws {
    #expect(throws: DatasetError.self) { try Self.picture("make_pictures.py", channels: 3) }
    #expect(throws: DatasetError.self) { try Self.picture("nowhere.jpg", channels: 3) }
    #expect(throws: DatasetError.self) { try Self.picture("squares.jpg", channels: 2) }
  }
}
