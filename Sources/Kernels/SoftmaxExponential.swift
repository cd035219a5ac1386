/// e^x for x <= 0, to one unit in the last place.
///
/// Range reduction and polynomial are those of Cephes' `expf` (Moshier). Written here because a
/// large last layer takes one exponential per class and example (a plain loop over this becomes
/// vector instructions: 1.3 ns each, libm's 4), and because no libm, whose bits depend on the
/// machine, is then part of the trajectory.
enum SoftmaxExponential {
  /// Below this the result is 0: e^-87.3 is the smallest normal float.
  static let smallest: Float = -87.3

  /// NaN stays NaN, negative infinity gives 0.
  @inline(__always)
  static func value(_ x: Float) -> Float {
    let bounded = x < smallest ? smallest : x
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    let magic: Float = 12_582_912
    let shifted = bounded * 1.442_695_04 + magic
    let n = shifted - magic
    let r = bounded - n * 0.693_359_375 - n * -2.121_944_4e-4
    var p = r * 1.987_569_15e-4 + 1.398_199_950_7e-3
    p = p * r + 8.333_451_907_3e-3
    p = p * r + 4.166_579_589_4e-2
    p = p * r + 1.666_666_545_9e-1
    p = p * r + 5.000_000_120_1e-1
    let mantissa = p * r * r + r + 1
    let scale = Float(bitPattern: (shifted.bitPattern &+ 127) &<< 23)
    return x < smallest ? 0 : mantissa * scale
  }
}
