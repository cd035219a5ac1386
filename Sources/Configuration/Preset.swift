/// The configurations that are built into the program, from `Presets/*.json5`.
enum Preset {
  /// What `crosscut train` without an argument trains.
  static let standard = "fashion"

  private static let texts: [(name: String, bytes: [UInt8])] = [
    ("alexnet-2012", PackageResources.alexnet_2012_json5),
    ("alexnet-caffe", PackageResources.alexnet_caffe_json5),
    ("alexnet-owt", PackageResources.alexnet_owt_json5),
    ("alexnet-torchvision", PackageResources.alexnet_torchvision_json5),
    ("cifar-4layer", PackageResources.cifar_4layer_json5),
    ("cifar-4layer-nolrn", PackageResources.cifar_4layer_nolrn_json5),
    ("cifar-relu", PackageResources.cifar_relu_json5),
    ("cifar-tanh", PackageResources.cifar_tanh_json5),
    ("fashion", PackageResources.fashion_json5),
    ("lenet5", PackageResources.lenet5_json5),
    ("vgg-a", PackageResources.vgg_a_json5),
    ("vgg-b", PackageResources.vgg_b_json5),
    ("vgg-c", PackageResources.vgg_c_json5),
    ("vgg-d", PackageResources.vgg_d_json5),
    ("vgg-e", PackageResources.vgg_e_json5),
  ]

  static var names: [String] { texts.map(\.name) }

  /// The JSON5 text, comments included.
  static func text(named name: String) -> String? {
    texts.first { $0.name == name }.map { String(decoding: $0.bytes, as: UTF8.self) }
  }
}
