import CZeroMQ

/// A CURVE (Curve25519) key that may be shown to anybody; it stands for who has its secret half.
package struct PublicKey: Hashable, Sendable, CustomStringConvertible {
  /// 32 bytes.
  let bytes: [UInt8]

  /// - Returns: `nil` unless there are 32 bytes.
  init?(bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == KeyPair.keyBytes else { return nil }
    self.bytes = bytes
  }

  /// Reads 64 hexadecimal digits; `nil` for anything else.
  package init?(hex text: some StringProtocol) {
    guard let bytes = Hexadecimal.bytes(text) else { return nil }
    self.init(bytes: bytes)
  }

  /// 64 hexadecimal digits.
  package var description: String { Hexadecimal.text(bytes) }

  /// The first digits: enough for people to tell keys apart, in logs.
  package var short: String { String(description.prefix(12)) }
}

/// A CURVE key pair: what a node proves with who it is.
///
/// Nothing prints the secret half but `secretHex`: not a description, not a dump.
package struct KeyPair: Sendable, CustomStringConvertible, CustomReflectable {
  /// Bytes of each half.
  static let keyBytes = 32

  package let publicKey: PublicKey
  let secret: [UInt8]

  /// A new pair, from the system's random numbers.
  ///
  /// - Throws: `TransportError` where ZeroMQ was built without CURVE.
  package static func generate() throws(TransportError) -> KeyPair {
    var publicText = [CChar](repeating: 0, count: 41)
    var secretText = publicText
    guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .noCurve }
    var bytes = [UInt8](repeating: 0, count: keyBytes)
    guard zmq_z85_decode(&bytes, secretText) != nil, let pair = KeyPair(secret: bytes) else {
      throw .noCurve
    }
    return pair
  }

  /// The pair of a secret half written as 64 hexadecimal digits; `nil` for anything else.
  package init?(secretHex text: some StringProtocol) {
    guard let bytes = Hexadecimal.bytes(text) else { return nil }
    self.init(secret: bytes)
  }

  /// - Returns: `nil` unless there are 32 bytes.
  package init?(secret bytes: [UInt8]) {
    guard bytes.count == Self.keyBytes else { return nil }
    var secretText = [CChar](repeating: 0, count: 41)
    var publicText = secretText
    var publicBytes = [UInt8](repeating: 0, count: Self.keyBytes)
    guard zmq_z85_encode(&secretText, bytes, bytes.count) != nil,
      zmq_curve_public(&publicText, secretText) == 0,
      zmq_z85_decode(&publicBytes, publicText) != nil,
      let publicKey = PublicKey(bytes: publicBytes)
    else { return nil }
    self.publicKey = publicKey
    secret = bytes
  }

  /// The secret half, for the file it is kept in and for the one it is handed over to.
  package var secretHex: String { Hexadecimal.text(secret) }

  package var description: String { "key pair \(publicKey.short)" }

  package var customMirror: Mirror { Mirror(self, children: ["publicKey": publicKey]) }

  /// Whether this machine's ZeroMQ can encrypt.
  package static var isSupported: Bool { zmq_has("curve") == 1 }
}

/// Bytes as people copy them.
enum Hexadecimal {
  static func text(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// `nil` if there is anything but an even number of digits.
  static func bytes(_ text: some StringProtocol) -> [UInt8]? {
    let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { return nil }
      bytes.append(UInt8(16 * high + low))
    }
    return bytes
  }
}

extension TransportError {
  /// ZeroMQ cannot encrypt.
  fileprivate static var noCurve: TransportError {
    TransportError(
      call: "zmq_curve_keypair", code: ENOTSUP,
      text: "this libzmq was built without CURVE: install the distribution's libzmq5")
  }
}
