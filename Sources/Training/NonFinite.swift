extension UnsafeBufferPointer<Float> {
  /// The index of the first value that is infinite or not a number, or nil.
  ///
  /// One pass of integer maxima, which vectorises; only what is found is searched for.
  var firstNonFinite: Int? {
    var largest: UInt32 = 0
    for value in self { largest = Swift.max(largest, value.bitPattern & 0x7fff_ffff) }
    return largest < Float.infinity.bitPattern ? nil : firstIndex { !$0.isFinite }
  }
}
