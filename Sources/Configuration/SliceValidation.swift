import Messages
import Network
import Tensors

/// Whether the FC layers can be cut among the FC nodes, and the slices go into messages.
extension RunConfiguration {
  /// What is wrong with a number of FC nodes, and what to do.
  private struct SliceProblem {
    var path = ConfigurationPath.root.key("cluster").key("fcNodes")
    let text: String
    let advice: String
  }

  /// Every FC node must own something of every activation it has a part in, and be able to send it.
  func checkSlices(of plan: NetworkPlan) throws(ConfigurationError) {
    let path = ConfigurationPath.root.key("cluster")
    let nodes = cluster.fcNodes
    let narrowest = plan.narrowest
    guard nodes <= narrowest.units else {
      let what = narrowest.layer.map { "units of \($0)" } ?? "features of the conv layers"
      throw path.key("fcNodes").error(
        "\(nodes) FC nodes cannot share the \(narrowest.units) \(what)")
    }
    if let problem = sliceProblem(of: plan, nodes: nodes) {
      throw problem.path.error("\(problem.text): \(problem.advice)")
    }
    if cluster.fcLoss == .recut, nodes > 1, let problem = sliceProblem(of: plan, nodes: 1) {
      throw path.key("fcLoss").error(
        "\"recut\" may leave one FC node, and \(problem.text): set \"wait\"")
    }
  }

  /// A row of a matrix lies in one frame, and a message has a bounded number of these.
  private func sliceProblem(of plan: NetworkPlan, nodes: Int) -> SliceProblem? {
    let widest = DenseCut.frameFloats
    let cut = DenseCut(plan, nodes: nodes)
    let limit = "more than the \(widest) of a message's longest row"
    func more(_ columns: Int) -> String {
      "take \((columns + widest - 1) / widest) FC nodes or more"
    }
    let features = cut.featureSlices[0].count
    guard features <= widest else {
      return SliceProblem(
        text: "an FC node would own \(features) features of the conv layers, \(limit)",
        advice: more(plan.features))
    }
    for layer in cut.layers {
      let columns = layer.weightRegion(rank: 0).columns.count
      guard columns > widest else { continue }
      let text = "an FC node's weights of \(layer.name) would have \(columns) columns, \(limit)"
      guard layer.form != .scatterOutput else {
        return SliceProblem(text: text, advice: more(layer.inputs))
      }
      return SliceProblem(
        path: ConfigurationPath.root.key("network").key("layers").index(layer.weight.layer)
          .key("form"),
        text: text, advice: "\"scatter-output\" cuts them among the FC nodes")
    }
    let frames = mostFrames(cut)
    guard frames > Limits.frames else { return nil }
    return SliceProblem(
      text: "a message would have \(frames) frames, more than \(Limits.frames)",
      advice: "take more FC nodes, more schedule.subBatches, a smaller globalBatch or a larger"
        + " cluster.minimumWorkers")
  }

  /// Frames of the longest message of a step, when no more workers are left than must be.
  private func mostFrames(_ cut: DenseCut) -> Int {
    let widest = DenseCut.frameFloats
    func frames(_ rows: Int, _ columns: Int) -> Int {
      guard columns > 0 else { return 0 }
      let rowsEach = widest / columns
      return rowsEach > 0
        ? (rows + rowsEach - 1) / rowsEach : rows * ((columns + widest - 1) / widest)
    }
    let parts = min(max(subBatches, 1), globalBatch)
    let rows = (globalBatch + parts - 1) / parts
    let workers = cluster.minimumWorkers
    let share = schedule.kind == .roundRobin ? rows : (rows + workers - 1) / workers
    // Labels have a frame of their own.
    var most = 1 + frames(share, cut.featureSlices[0].count)
    guard cut.nodes > 1 else { return most }
    var mirrored = 0
    for layer in cut.layers {
      let (gathered, own) =
        layer.form == .scatterOutput
        ? (layer.outputSlices, layer.inputSlices) : (layer.inputSlices, layer.outputSlices)
      most = max(most, frames(rows, gathered[0].count))
      mirrored += frames(rows, own[0].count)
    }
    return cluster.fcMirror ? max(most, mirrored) : most
  }
}
