package import Network

/// The network as the configuration writes it: an input and a list of layers.
package struct NetworkConfiguration: Hashable, Sendable {
  /// The preset it started as, for people; changed layers do not change the name.
  package var name: String?
  /// `[C, H, W]` of one example.
  package var input: [Int] = []
  package var layers: [LayerSpec] = []
  package var loss = Loss.softmax

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
    ]
  }
}

extension Loss: ConfigurationWord {}
