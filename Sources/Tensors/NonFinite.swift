extension UnsafeBufferPointer<Float> {
  /// The largest magnitude; infinite or not a number if one of the values is, 0 if there is none.
  ///
  /// One pass of integer maxima, which vectorises: among magnitudes the order of the bit patterns
  /// is that of the numbers, with infinity and not-a-number above them.
  package var largestMagnitude: Float {
    var largest: UInt32 = 0
    for value in self { largest = Swift.max(largest, value.bitPattern & 0x7fff_ffff) }
    return Float(bitPattern: largest)
  }

  /// The index of the first value that is infinite or not a number, or nil; only what is found is
  /// searched for.
  package var firstNonFinite: Int? {
    largestMagnitude.isFinite ? nil : firstIndex { !$0.isFinite }
  }
}
