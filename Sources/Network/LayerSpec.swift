/// One layer as a configuration writes it, without shapes: those follow from the input.
package struct LayerSpec: Hashable, Sendable {
  /// What the layer computes.
  package var operation: Operation
  /// The name people see ("conv1", "fc6"); `nil` lets the network number it.
  package var name: String?

  package init(_ operation: Operation, name: String? = nil) {
    self.operation = operation
    self.name = name
  }

  package enum Operation: Hashable, Sendable {
    case convolution(Convolution)
    case activation(Activation)
    case pooling(Pooling)
    case localResponseNormalization(LocalResponseNormalization)
    case fullyConnected(FullyConnected)
    case dropout(Dropout)
  }
}

/// A 2-D cross-correlation with groups: output `[N, channels, OH, OW]` with
/// `OH = (H + 2 padding - kernel) / stride + 1`, rounded down (Caffe, PyTorch) or, with `ceil`, up
/// (the 2012 paper's code).
package struct Convolution: Hashable, Sendable {
  package var channels: Int
  package var kernel: Int
  package var stride: Int
  /// Zeros added on every side.
  package var padding: Int
  /// Whether a last position hangs over the lower and right edge, where it reads zeros.
  package var ceil: Bool
  /// Input and output channels are cut into this many independent groups (2 = the two towers).
  package var groups: Int
  package var weight: Initializer
  package var bias: Initializer

  package init(
    channels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, ceil: Bool = false,
    groups: Int = 1, weight: Initializer = .kaiming, bias: Initializer = .constant(0)
  ) {
    self.channels = channels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.ceil = ceil
    self.groups = groups
    self.weight = weight
    self.bias = bias
  }

  /// Output height or width of an input's.
  package func positions(over size: Int) -> Int {
    let span = size + 2 * padding - kernel
    return (ceil ? span + stride - 1 : span) / stride + 1
  }

  /// Zeros that the last position reads beyond the padding of an input's height or width.
  package func overhang(over size: Int) -> Int {
    max(0, (positions(over: size) - 1) * stride + kernel - size - 2 * padding)
  }
}

/// An elementwise non-linearity.
package enum Activation: String, Hashable, Sendable, CaseIterable {
  case relu, tanh, sigmoid
}

/// Pooling over square windows: `OH = (H + 2 padding - window) / stride + 1`, rounded down
/// (PyTorch) or, with `ceil`, up (Caffe, the 2012 paper's code).
package struct Pooling: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable { case max, average }
  package var kind: Kind
  package var window: Int
  /// A stride smaller than the window overlaps (the 2012 paper: window 3, stride 2).
  package var stride: Int
  package var padding: Int
  package var ceil: Bool

  package init(
    _ kind: Kind = .max, window: Int, stride: Int, padding: Int = 0, ceil: Bool = false
  ) {
    self.kind = kind
    self.window = window
    self.stride = stride
    self.padding = padding
    self.ceil = ceil
  }
}

/// Normalization `b = a / (k + alpha' * sum a^2)^beta` over the neighbours of a value (2012 paper,
/// section 3.3), with `alpha'` = `alpha` divided by the number of neighbours when `divideBySize`.
///
/// Implementations disagree silently by a factor of five: the paper and TensorFlow do not divide,
/// Caffe, PyTorch and oneDNN do (docs/deviations.md). Hence the explicit field.
package struct LocalResponseNormalization: Hashable, Sendable {
  /// Which values are neighbours. Windows are cut at the edges; the divisor stays.
  package enum Region: String, Hashable, Sendable, CaseIterable {
    /// `size` channels at the same place: the paper, cuda-convnet's `cmrnorm`.
    case acrossChannels = "across-channels"
    /// `size` x `size` places of the same channel: cuda-convnet's `rnorm`.
    case withinChannel = "within-channel"
  }
  package var region: Region
  package var size: Int
  package var alpha: Float
  package var beta: Float
  package var k: Float
  package var divideBySize: Bool

  /// Values in a whole window: the divisor of alpha.
  package var neighbours: Int { region == .acrossChannels ? size : size * size }

  package init(
    region: Region = .acrossChannels, size: Int = 5, alpha: Float = 1e-4, beta: Float = 0.75,
    k: Float = 2, divideBySize: Bool = false
  ) {
    self.region = region
    self.size = size
    self.alpha = alpha
    self.beta = beta
    self.k = k
    self.divideBySize = divideBySize
  }
}

/// A fully connected layer with weights `[units, in]`.
package struct FullyConnected: Hashable, Sendable {
  /// How the layer is cut over FC nodes (docs/design.md, "FC layers").
  package enum Form: String, Hashable, Sendable, CaseIterable {
    /// The cheaper of the two: gather when `in <= units`, scatter otherwise.
    case auto
    /// Column-parallel: all-gather the input slices, compute own output columns.
    case gatherInput = "gather-input"
    /// Row-parallel: multiply own input slice, reduce-scatter the partial sums.
    case scatterOutput = "scatter-output"
  }
  package var units: Int
  package var form: Form
  package var weight: Initializer
  package var bias: Initializer

  package init(
    units: Int, form: Form = .auto, weight: Initializer = .kaiming, bias: Initializer = .constant(0)
  ) {
    self.units = units
    self.form = form
    self.weight = weight
    self.bias = bias
  }
}

/// Dropout: each unit is zeroed with probability `rate` in training.
package struct Dropout: Hashable, Sendable {
  /// Where the expectation is restored.
  package enum Scale: String, Hashable, Sendable, CaseIterable {
    /// Survivors are divided by `1 - rate` in training, nothing at evaluation (Caffe, PyTorch).
    case training
    /// Outputs are multiplied by `1 - rate` at evaluation (the 2012 paper, cuda-convnet2).
    case evaluation
  }
  package var rate: Float
  package var scale: Scale

  package init(rate: Float = 0.5, scale: Scale = .training) {
    self.rate = rate
    self.scale = scale
  }
}

/// What the last layer's outputs mean, and so what is minimized.
package enum Loss: String, Hashable, Sendable, CaseIterable {
  /// One of the classes: softmax cross-entropy, `ln(sum e^z) - z[label]`.
  case softmax
  /// Each class for itself, yes or no: the 2014 paper's 1000 independent logistic units, whose
  /// cross-entropies `ln(1 + e^z) - [class = label] z` add up.
  case logistic
}

/// Initial values of a parameter, each element a function of (seed, parameter name, index).
package enum Initializer: Hashable, Sendable {
  case constant(Float)
  /// N(0, deviation^2); the 2012 paper: 0.01.
  case normal(Float)
  /// N(0, 2 / fan-in): He et al. 2015, for ReLU networks without pre-training.
  case kaiming
  /// N(0, 1 / fan-in): LeCun 1998, for tanh and sigmoid.
  case lecun
  /// Uniform in +-1/sqrt(fan-in): what PyTorch's layers start with.
  case uniformFanIn
}
