import Datasets
import FoundationEssentials
import Glibc
import Tensors

extension Decoder {
  /// A JPEG or PNG file, as it is.
  ///
  /// It is decoded to two sizes, and then a known one by the same decoder: what a broken picture
  /// leaves behind must not show in the next.
  static func picture(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let decoder = try? ImageDecoder() else { preconditionFailure("no decoder") }
    for size in [1, 40] {
      // Not an array: AddressSanitizer sees the end of this to the byte.
      let output = UnsafeMutablePointer<UInt8>.allocate(capacity: size * size * 3)
      defer { output.deallocate() }
      try? decoder.decode(
        UnsafeRawBufferPointer(bytes), path: "fuzz", size: size, into: output)
    }
    precondition(known(by: decoder) == knownPixels, "a picture spoiled the next one")
  }

  private static let knownFile: [UInt8] = {
    let path = "Tests/DatasetsTests/Golden/squares.jpg"
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)) else {
      print("\(path) is not there: run it in the repository's root")
      exit(2)
    }
    return Array(data)
  }()

  private static let knownPixels: [UInt8]? = (try? ImageDecoder()).flatMap(known)

  private static func known(by decoder: ImageDecoder) -> [UInt8]? {
    var output = [UInt8](repeating: 0, count: 16 * 16 * 3)
    let isWhole: Void? = try? knownFile.withUnsafeBytes { bytes in
      try decoder.decode(bytes, path: "known", size: 16, into: &output)
    }
    return isWhole == nil ? nil : output
  }

  /// A byte for which of the data sets it is, one for the length of the names of its classes, the
  /// names, and the records of all of its files.
  static func cifar(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count >= 2 else { return }
    let names = bytes[2...].prefix(Int(bytes[1]))
    let records = bytes[(2 + names.count)...]
    let isLarge = bytes[0] & 1 == 1
    let files =
      isLarge
      ? ["train.bin", "test.bin"] : (1...5).map { "data_batch_\($0).bin" } + ["test_batch.bin"]
    let meta =
      isLarge ? ["fine_label_names.txt", "coarse_label_names.txt"] : ["batches.meta.txt"]
    let folder = Folder()
    defer { folder.remove(files + meta) }
    for file in files { folder.write(file, records) }
    for file in meta { folder.write(file, names) }
    let labels: CIFARDataset.Labels = bytes[0] & 2 == 0 ? .fine : .coarse
    guard let pair = try? CIFARDataset.open(directory: folder.path, labels: labels) else { return }
    read(pair.train, classes: pair.train.classes)
  }

  /// Lengths (two bytes each) of `dataset.json`, `index.tsv` and `mean.npy`, and these; the rest is
  /// the shard of both sets. A mean image of no bytes is replaced by one that fits.
  static func prepared(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count >= 6 else { return }
    var rest = bytes[6...]
    var parts: [[UInt8]] = []
    for part in 0..<3 {
      let length = Int(bytes[2 * part]) << 8 | Int(bytes[2 * part + 1])
      parts.append(Array(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    if parts[2].isEmpty { parts[2] = mean(for: parts[0]) }
    let names = ["dataset.json", "index.tsv", "mean.npy", "train-000000.tar", "test-000000.tar"]
    let folder = Folder()
    defer { folder.remove(names) }
    for (name, part) in zip(names, parts + [Array(rest), Array(rest)]) { folder.write(name, part) }
    for groups in [0, 1] {
      guard let pair = try? PreparedDataset.open(directory: folder.path, groups: groups) else {
        continue
      }
      read(pair.train, classes: pair.train.classes)
    }
  }

  /// The first examples of a source; labels must be those of classes that there are.
  private static func read(_ source: any ExampleSource, classes: Int) {
    let output = UnsafeMutablePointer<Float>.allocate(capacity: source.shape.count)
    defer { output.deallocate() }
    for index in 0..<min(source.count, 4) {
      precondition((0..<classes).contains(Int(source.label(index))), "a label of no class")
      try? source.write(index, into: output)
    }
  }

  /// A mean image of zeros of the shape that a description has, unless that is large.
  private static func mean(for description: [UInt8]) -> [UInt8] {
    guard
      let known = try? JSONDecoder().decode(
        PreparedDescription.self, from: Data(description)),
      known.shape.allSatisfy({ (1...64).contains($0) }), known.shape.count == 3
    else { return [] }
    let extents = known.shape.map(String.init).joined(separator: ", ")
    var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(extents)), }"
    text += String(repeating: " ", count: (64 - (11 + text.utf8.count) % 64) % 64) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.utf8.count), 0] + Array(text.utf8)
      + [UInt8](repeating: 0, count: 4 * known.shape.reduce(1, *))
  }
}
