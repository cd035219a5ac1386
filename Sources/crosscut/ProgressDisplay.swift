import Configuration
import Glibc
import Nodes
import Observability

/// How `crosscut train` shows a run: one live line on a terminal, a plain line every few seconds
/// where output is piped, and a line that stays for everything worth keeping.
final class ProgressDisplay {
  private let configuration: RunConfiguration
  private let directory: RunDirectory
  private let isTerminal = Console.isTerminal
  private let color = Console.hasColor
  /// Seconds between plain lines.
  private let interval: Double
  private var lastPlain: Double?
  private var lastTest: UInt64?
  private var lineIsOpen = false
  private var lastMessage = ""
  /// When the last trouble that was shown came, and the last record, by the server's clock.
  private var lastTrouble = -1.0
  private var lastElapsed = 0.0
  private var readerIsGone = false

  init(_ configuration: RunConfiguration, _ directory: RunDirectory) {
    self.configuration = configuration
    self.directory = directory
    interval = configuration.logging.everySeconds
  }

  /// Says what is about to happen.
  func begin(inProcess: Bool) throws {
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
    if let step = record.testStep, step != lastTest, let accuracy = record.testAccuracy {
      lastTest = step
      keep(
        "epoch \(number(record.epoch, 2)): test accuracy "
          + "\(number(accuracy * 100, 2)) %, loss \(number(record.testLoss ?? 0, 4))")
    }
    // A server that was started again counts its seconds anew.
    if record.elapsedSeconds < lastElapsed { lastTrouble = -1 }
    lastElapsed = record.elapsedSeconds
    for event in record.events where event.isTrouble && event.secondsSinceStart > lastTrouble {
      lastTrouble = event.secondsSinceStart
      keep(event.text)
    }
    if isTerminal {
      let columns = max(20, Console.terminalColumns - 1)
      write("\r\u{1B}[K" + ProgressLine.render(record, columns: columns, color: color))
      lineIsOpen = true
      return
    }
    let now = record.elapsedSeconds
    let isNews = record.message != lastMessage && !record.message.isEmpty
    guard isNews || lastPlain.map({ now - $0 >= interval }) ?? true else { return }
    lastPlain = now
    lastMessage = record.message
    write(PlainLine.render(record) + "\n")
  }

  /// Shows a line that stays.
  func note(_ text: String) { keep(text) }

  /// Says how it ended.
  func end(_ record: StatusRecord) {
    show(record)
    closeLine()
    let steps = "\(record.step) of \(record.totalSteps) steps in \(duration(record.elapsedSeconds))"
    keep(record.step == record.totalSteps ? "done: \(steps)" : "stopped: \(steps)")
    if let accuracy = record.testAccuracy {
      let top5 = record.testTop5.map { ", top-5 \(number($0 * 100, 2)) %" } ?? ""
      keep("test accuracy: \(number(accuracy * 100, 2)) %\(top5)")
    }
    if access(directory.model, F_OK) == 0 { keep("model: \(directory.model)") }
  }

  private func keep(_ text: String) {
    closeLine()
    write(text + "\n")
  }

  private func closeLine() {
    guard lineIsOpen else { return }
    write("\r\u{1B}[K")
    lineIsOpen = false
  }

  /// A reader that has gone, or a full disk behind a pipe, must not end a training.
  private func write(_ text: String) {
    guard !readerIsGone else { return }
    readerIsGone = !((try? Console.print(text)) ?? false)
  }

  private func number(_ value: Double, _ digits: Int) -> String {
    let scale = digits == 4 ? 10_000.0 : 100
    let whole = Int((value * scale).rounded())
    let fraction = String(whole.magnitude % UInt(scale))
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(whole / Int(scale)).\(zeros)\(fraction)"
  }

  private func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    return whole < 60 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
  }

}
