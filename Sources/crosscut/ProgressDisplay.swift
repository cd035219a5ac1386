import Configuration
import Glibc
import Nodes
import Observability

/// How `crosscut train` shows a run: one live line on a terminal, a plain line every few seconds
/// where output is piped, and a line that stays for everything worth keeping.
final class ProgressDisplay {
  private let configuration: RunConfiguration
  private let directory: RunDirectory
  private let isTerminal: Bool
  private let print: (String, _ isPassing: Bool) -> Bool
  private let color = Console.hasColor
  /// Seconds between plain lines.
  private let interval: Double
  private var lastPlain: Double?
  private var lastTest: UInt64?
  private var lineIsOpen = false
  private var lastMessage = ""
  /// When the last trouble that was shown came, and the last record, by the server's clock: in a
  /// run that goes on, troubles of earlier lives count as shown.
  private var lastTrouble: Double?
  private var lastElapsed = 0.0
  /// What the lives before the first server that was seen here had taken.
  private var earlierAtFirst: Double?

  /// - Parameter print: has a text written without waiting for that, and says whether it will be; one
  ///   that is passing is worth nothing later.
  init(
    _ configuration: RunConfiguration, _ directory: RunDirectory,
    isTerminal: Bool = Console.isTerminal,
    print: @escaping (String, _ isPassing: Bool) -> Bool
  ) {
    self.isTerminal = isTerminal
    self.print = print
    self.configuration = configuration
    self.directory = directory
    interval = configuration.logging.everySeconds
  }

  /// Says what is about to happen.
  func begin(inProcess: Bool) {
    let cluster = configuration.cluster
    keep(
      "\(configuration.network.name ?? "custom network") on \(configuration.dataset.title), batch "
        + "\(configuration.globalBatch): \(cluster.serverShards) "
        + "server\(cluster.serverShards == 1 ? "" : "s"), \(cluster.workers) "
        + "worker\(cluster.workers == 1 ? "" : "s"), \(cluster.fcNodes) fc "
        + "node\(cluster.fcNodes == 1 ? "" : "s")\(inProcess ? " in one process" : "")")
    keep("run directory: \(directory.path)")
  }

  /// Shows the present state.
  func show(_ record: StatusRecord) {
    // What one knows that has not begun was measured in an earlier life.
    if record.view == 0 { lastTest = record.testStep }
    if let step = record.testStep, step != lastTest, let accuracy = record.testAccuracy {
      lastTest = step
      keep(
        "epoch \(Numbers.fixed(record.epoch, 2)): test accuracy "
          + "\(Numbers.fixed(accuracy * 100, 2)) %, loss \(Numbers.fixed(record.testLoss ?? 0, 4))")
    }
    // A server that was started again counts its seconds anew.
    if record.elapsedSeconds < lastElapsed {
      lastTrouble = nil
      lastPlain = nil
    }
    lastElapsed = record.elapsedSeconds
    let earlier = earlierAtFirst ?? record.earlierSeconds ?? 0
    earlierAtFirst = earlier
    // Several may have come at the same time.
    let known = lastTrouble ?? record.earlierSeconds ?? -1
    lastTrouble = known
    for event in record.events where event.isTrouble && event.secondsSinceStart > known {
      lastTrouble = event.secondsSinceStart
      keep(event.text)
    }
    if isTerminal {
      let columns = max(20, Console.terminalColumns - 1)
      let line = ProgressLine.render(record, columns: columns, color: color)
      if print("\r\u{1B}[K" + line, true) { lineIsOpen = true }
      return
    }
    let now = record.elapsedSeconds
    let isNews = record.message != lastMessage && !record.message.isEmpty
    guard isNews || lastPlain.map({ now - $0 >= interval }) ?? true else { return }
    lastPlain = now
    lastMessage = record.message
    _ = print(Format.printableLines(PlainLine.render(record)) + "\n", false)
  }

  /// Shows a line that stays.
  func note(_ text: String) { keep(text) }

  /// Says how it ended.
  func end(_ record: StatusRecord) {
    show(record)
    closeLine()
    // Nobody knows how many where no worker has come yet.
    let isDone = record.totalSteps > 0 && record.step == record.totalSteps
    // Servers that have died count too, of those lives that were seen here.
    let seconds =
      record.elapsedSeconds + max(0, (record.earlierSeconds ?? 0) - (earlierAtFirst ?? 0))
    let steps = "\(record.step) of \(record.totalSteps) steps in \(Format.duration(seconds))"
    keep(isDone ? "done: \(steps)" : "stopped: \(steps)")
    if let accuracy = record.testAccuracy {
      let top5 = record.testTop5.map { ", top-5 \(Numbers.fixed($0 * 100, 2)) %" } ?? ""
      keep("test accuracy: \(Numbers.fixed(accuracy * 100, 2)) %\(top5)")
    }
    if access(directory.model, F_OK) == 0 { keep("model: \(directory.model)") }
  }

  private func keep(_ text: String) {
    closeLine()
    _ = print(Format.printableLines(text) + "\n", false)
  }

  private func closeLine() {
    guard lineIsOpen else { return }
    _ = print("\r\u{1B}[K", false)
    lineIsOpen = false
  }
}
