package import Network
package import Tensors

/// The trained parameters; the memory is valid during the call that hands them over.
package struct ModelTensors {
  package struct Tensor {
    package let name: String
    package let shape: Shape
    package let values: UnsafeBufferPointer<Float>

    package init(name: String, shape: Shape, values: UnsafeBufferPointer<Float>) {
      self.name = name
      self.shape = shape
      self.values = values
    }
  }

  /// Optimizer steps that made them.
  package let steps: UInt64
  package let tensors: [Tensor]

  package init(steps: UInt64, tensors: [Tensor]) {
    self.steps = steps
    self.tensors = tensors
  }
}

extension ModelTensors.Tensor {
  /// A whole parameter that lies at `values`.
  package init(_ entry: ParameterTable.Entry, at values: UnsafePointer<Float>) {
    self.init(
      name: entry.name, shape: entry.shape,
      values: UnsafeBufferPointer(start: values, count: entry.shape.count))
  }
}
