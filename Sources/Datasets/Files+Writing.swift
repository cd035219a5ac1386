import DurableFiles
import Glibc

extension Files {
  /// Puts a file in a path's place at once: whoever looks sees the old one or the new one.
  static func replace(_ path: String, with bytes: [UInt8]) throws(DatasetError) {
    try FileFailure.told(as: DatasetError.init) { () throws(FileFailure) in
      try AtomicFile.write(bytes, to: path, beside: path + ".part")
    }
  }

  /// Adds bytes to the end of a file.
  static func append(_ bytes: [UInt8], to path: String) throws(DatasetError) {
    try FileFailure.told(as: DatasetError.init) { () throws(FileFailure) in
      try DurableFile.write(bytes, to: path, .extended)
    }
  }
}

extension DatasetError {
  /// The error of a file that could not be written.
  init(_ failure: FileFailure) {
    let (path, words) = (failure.path, Files.words(for: failure.code))
    switch failure.step {
    case .create: self.init(path, "cannot be made: \(words)")
    case .openFolder: self.init(path, "cannot be opened: \(words)")
    case .place: self.init(path, "cannot be put in place: \(words)")
    case .write, .sync, .close:
      let advice =
        failure.isForLackOfSpace
        ? "; what is whole is kept: free some space and run the same command again" : ""
      self.init(path, "cannot be written: \(words)\(advice)")
    }
  }
}
