/// `benchmarks NAME [options]`: each measures against a reference in the same run.
let benchmarks: [(name: String, run: ([String]) throws -> Void)] = [
  ("convolution-stack", ConvolutionStackBenchmark.run),
  ("cluster-step", ClusterStepBenchmark.run),
  ("training-step", TrainingStepBenchmark.run),
  ("loader", LoaderBenchmark.run),
  ("encryption", EncryptionBenchmark.run),
  ("goodput", GoodputBenchmark.run),
  ("option-cost", OptionCostBenchmark.run),
]

let arguments = Array(CommandLine.arguments.dropFirst())
if let name = arguments.first, let benchmark = benchmarks.first(where: { $0.name == name }) {
  do {
    try benchmark.run(Array(arguments.dropFirst()))
  } catch {
    fail("\(name): \(error)")
  }
} else {
  fail(
    "usage: benchmarks NAME [options]\n" + benchmarks.map { "  \($0.name)" }.joined(separator: "\n")
  )
}
