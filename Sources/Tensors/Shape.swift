/// The extents of a tensor, outermost first, row-major: `[N, C, H, W]`, `[out, in]`, `[units]`.
package struct Shape: Hashable, Sendable, CustomStringConvertible {
  /// Extents, each at least 1. An empty list is a scalar.
  package let extents: [Int]

  package init(_ extents: [Int]) {
    precondition(extents.allSatisfy { $0 > 0 }, "shape with a non-positive extent: \(extents)")
    self.extents = extents
  }

  package init(_ extents: Int...) { self.init(extents) }

  /// Number of elements; 1 for a scalar.
  package var count: Int { extents.reduce(1, *) }

  package var rank: Int { extents.count }

  package subscript(axis: Int) -> Int { extents[axis] }

  package var description: String { extents.map(String.init).joined(separator: "x") }
}
