package import Network

/// The network as the configuration writes it: an input and a list of layers.
package struct NetworkConfiguration: Hashable, Sendable {
  /// The preset it started as, for people; changed layers do not change the name.
  package var name: String?
  /// `[C, H, W]` of one example.
  package var input: [Int] = []
  package var layers: [LayerSpec] = []
  package var loss = Loss.softmax
  /// The part of the classes that a training step's loss is over; smaller is faster, and less exact.
  package var sampleRate = 1.0

  package init() {}
}

extension NetworkConfiguration: ConfigurationSection {
  static var title: String { "a network" }
  static var fields: [Field<NetworkConfiguration>] {
    [
      Field("name", \.name, "What the network is called in tables."),
      Field("input", \.input, required: true, .imageShape, "[channels, height, width]."),
      Field(
        "layers", \.layers, required: true,
        "{ type: \"conv\", ... } and so on, first to last; the last is an fc, one unit a class."),
      Field(
        "loss", \.loss,
        "Of the last layer's units: \"softmax\", or \"logistic\" for independent ones (2014 paper)."
      ),
      Field(
        "sampleRate", \.sampleRate,
        Rule {
          // As a float, which it is where classes are drawn.
          Float($0) > 0 && $0 <= 1
            ? nil : "must be above 0 and at most 1, not \($0.json.lineText)"
        },
        "Part of the classes, drawn anew each step, that training's loss is over beside those of the"
          + " batch (sampled softmax, for very many classes); 1: all. Evaluation is over all."),
    ]
  }
}

extension Loss: ConfigurationWord {}
