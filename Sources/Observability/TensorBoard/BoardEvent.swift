import CProtobufC
import CTensorBoard

/// One event of a TensorBoard file.
struct BoardEvent {
  /// What a value is.
  enum Content {
    case scalar(Double)
    /// Shown as Markdown.
    case text(String)
    case image(PixelImage)
    case histogram(ValueHistogram)
  }

  /// Seconds since 1970.
  var wallTime: Double
  var step: Int64
  /// Empty in a file's first event, which says the format's version instead.
  var values: [(tag: String, content: Content)]

  /// The event as protobuf.
  func encoded() -> [UInt8] {
    let arena = BoardArena()
    let event = arena.make(crosscut__board__event__init) { event in
      event.wall_time = wallTime
      event.step = step
      if values.isEmpty {
        event.what_case = CROSSCUT__BOARD__EVENT__WHAT_FILE_VERSION
        event.file_version = arena.string("brain.Event:2")
      } else {
        event.what_case = CROSSCUT__BOARD__EVENT__WHAT_SUMMARY
        event.summary = arena.make(crosscut__board__summary__init) {
          $0.n_values = values.count
          $0.values = arena.array(values.map { arena.value($0.tag, $0.content) })
        }
      }
    }
    var bytes = [UInt8](repeating: 0, count: crosscut__board__event__get_packed_size(event))
    crosscut__board__event__pack(event, &bytes)
    return bytes
  }
}

/// Owns the C structs of one event while it is packed.
private final class BoardArena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  private func allocate<T>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: max(1, count))
    blocks.append(UnsafeMutableRawPointer(pointer))
    return pointer
  }

  func make<T>(
    _ initialize: (UnsafeMutablePointer<T>?) -> Void, _ fill: (inout T) -> Void
  ) -> UnsafeMutablePointer<T> {
    let pointer = allocate(T.self, 1)
    initialize(pointer)
    fill(&pointer.pointee)
    return pointer
  }

  func string(_ text: String) -> UnsafeMutablePointer<CChar> {
    let bytes = Array(text.utf8)
    let pointer = allocate(CChar.self, bytes.count + 1)
    for (index, byte) in bytes.enumerated() { pointer[index] = CChar(bitPattern: byte) }
    pointer[bytes.count] = 0
    return pointer
  }

  func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
    let pointer = allocate(UInt8.self, bytes.count)
    pointer.initialize(from: bytes, count: bytes.count)
    return ProtobufCBinaryData(len: bytes.count, data: pointer)
  }

  func doubles(_ values: [Double]) -> UnsafeMutablePointer<Double> {
    let pointer = allocate(Double.self, values.count)
    pointer.initialize(from: values, count: values.count)
    return pointer
  }

  func array<T>(
    _ messages: [UnsafeMutablePointer<T>]
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<T>?> {
    let pointer = allocate(UnsafeMutablePointer<T>?.self, messages.count)
    for (index, message) in messages.enumerated() { (pointer + index).initialize(to: message) }
    return pointer
  }

  func value(
    _ tag: String, _ content: BoardEvent.Content
  ) -> UnsafeMutablePointer<Crosscut__Board__Value> {
    make(crosscut__board__value__init) { value in
      value.tag = string(tag)
      switch content {
      case .scalar(let scalar):
        value.what_case = CROSSCUT__BOARD__VALUE__WHAT_SCALAR
        value.scalar = Float(scalar)
      case .text(let text):
        value.what_case = CROSSCUT__BOARD__VALUE__WHAT_TENSOR
        value.tensor = tensor(text)
        value.metadata = make(crosscut__board__metadata__init) {
          $0.plugin = make(crosscut__board__plugin__init) { $0.name = string("text") }
        }
      case .image(let image):
        value.what_case = CROSSCUT__BOARD__VALUE__WHAT_IMAGE
        value.image = make(crosscut__board__image__init) {
          $0.height = Int32(image.height)
          $0.width = Int32(image.width)
          $0.colorspace = Int32(image.channels)
          $0.png = bytes(image.png())
        }
      case .histogram(let histogram):
        value.what_case = CROSSCUT__BOARD__VALUE__WHAT_HISTOGRAM
        value.histogram = self.histogram(histogram)
      }
    }
  }

  /// One string in a list of one.
  private func tensor(_ text: String) -> UnsafeMutablePointer<Crosscut__Board__Tensor> {
    let strings = allocate(ProtobufCBinaryData.self, 1)
    strings.initialize(to: bytes(Array(text.utf8)))
    return make(crosscut__board__tensor__init) {
      $0.type = 7
      $0.n_strings = 1
      $0.strings = strings
      $0.shape = make(crosscut__board__shape__init) {
        $0.n_dimensions = 1
        $0.dimensions = array([make(crosscut__board__dimension__init) { $0.size = 1 }])
      }
    }
  }

  private func histogram(
    _ histogram: ValueHistogram
  ) -> UnsafeMutablePointer<Crosscut__Board__Histogram> {
    make(crosscut__board__histogram__init) {
      $0.min = histogram.minimum
      $0.max = histogram.maximum
      $0.count = Double(histogram.count)
      $0.sum = histogram.sum
      $0.sum_of_squares = histogram.sumOfSquares
      $0.n_limits = histogram.limits.count
      $0.limits = doubles(histogram.limits)
      $0.n_counts = histogram.counts.count
      $0.counts = doubles(histogram.counts)
    }
  }
}
