import Network
import Tensors

extension DenseCut {
  /// Floats an example that node `rank` sends and receives in the exchange after a segment of a
  /// training pass, over all peers.
  ///
  /// Forward a layer either gathers its inputs (everybody sends its slice to everybody) or scatters
  /// partial sums of its outputs (everybody sends each owner its columns); backward the other way
  /// round. The loss takes three numbers of each slice. Nodes without columns are left out. O(1).
  func moved(afterSegment segment: Int, rank: Int) -> (sent: Int, received: Int) {
    if segment == layers.count {
      let held = min(classSlices.count, nodes)
      let isHeld = !classSlices[rank].isEmpty
      return (isHeld ? 3 * (nodes - 1) : 0, 3 * (held - (isHeld ? 1 : 0)))
    }
    let isForward = segment < layers.count
    let layer = layers[isForward ? segment : 2 * layers.count - segment]
    let gathers = layer.form == .gatherInput
    let (moved, other) =
      gathers
      ? (layer.inputSlices, layer.outputSlices) : (layer.outputSlices, layer.inputSlices)
    let own = moved[rank].count
    let takesPart = !other[rank].isEmpty
    // Own columns to every peer that has a part of the product, all others' columns in.
    let peers = min(other.count, nodes) - (takesPart ? 1 : 0)
    let spread = own * peers
    let collected = takesPart ? moved.count - own : 0
    return isForward == gathers ? (spread, collected) : (collected, spread)
  }
}
