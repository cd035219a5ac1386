import Configuration
import Glibc
import Messages
import Observability

/// Deaths of a cluster's processes, and others in their place.
extension LocalCluster {
  /// How long a child that gave up is held back for the run's own reason, seconds: longer than the
  /// server of a run that has failed waits for goodbyes.
  private static let grace = 5.0

  /// Tells of children that ended before the run did.
  ///
  /// Those that give up may do so because the run has failed, which is then said once, at the end:
  /// they are told of when it goes on without them.
  func watch(_ report: (Report) -> Void) {
    let now = Self.seconds()
    for child in children {
      guard let end = child.poll(), end != .exited(0) else { continue }
      let seen = ends[child.processID] ?? Seen(seconds: now, answers: answers)
      ends[child.processID] = seen
      if case .exited = end,
        now - seen.seconds < Self.grace || latest?.state == .failed
          || directory.readSummary()?.state == .failed
      {
        continue
      }
      announce(child, end, report)
    }
  }

  func announce(
    _ child: ChildProcess, _ end: ChildProcess.End, _ report: (Report) -> Void
  ) {
    guard announced.insert(child.processID).inserted else { return }
    report(.note("\(child.name) (process \(child.processID)) \(end)\(why(child.name, end))"))
  }

  /// What is known of why a child ended: the kernel's want of memory, or its own last line.
  private func why(_ name: String, _ end: ChildProcess.End) -> String {
    guard end != .killed(signal: SIGKILL) else {
      return MemoryWatch.explanation(killsBefore: memoryKills)
    }
    return lastLine(of: name).map { ": \($0)" } ?? ""
  }

  /// Starts another process in the place of one that has died; before the run has begun, a death
  /// has a reason that another start does not mend.
  ///
  /// - Parameter isSilent: whether the server does not answer.
  func replaceTheDead(isSilent: Bool, _ report: (Report) -> Void) throws(NodeError) {
    // Where the run has failed they follow it.
    guard let latest, latest.state != .failed else { return }
    for index in members.indices {
      guard let end = members[index].process.poll(), end != .exited(0),
        directory.readSummary() == nil, !members[index].deaths.isHeldBack()
      else { continue }
      if case .exited = end, hasBegun, !isSilent, !goesOn(without: members[index].process) {
        continue
      }
      let name = members[index].process.name
      if configuration.cluster.fcLoss == .recut, hasBegun, hasOtherFC(than: index) {
        // Its slice is with the others by then: only a worker is to come back.
        if name.hasPrefix("fc") { continue }
        members[index].arguments.removeAll { $0 == Self.withFC }
        if name.hasPrefix("worker"), !members[index].arguments.contains(Self.withShard) {
          members[index].arguments.removeAll(where: Self.listenHere.contains)
        }
      }
      guard hasBegun, members[index].deaths.mayRestart() else {
        guard !isNeeded(index, latest) else {
          let deaths = members[index].deaths
          throw NodeError(
            "\(name) \(end)\(why(name, end))"
              + (deaths.hasGivenUp ? ", and is not started again: \(deaths.reason)" : ""))
        }
        if members[index].deaths.hasGivenUp, !members[index].isGivenUp {
          members[index].isGivenUp = true
          announce(members[index].process, end, report)
          report(.note("\(name) is not started again: \(members[index].deaths.reason)"))
        }
        continue
      }
      announce(members[index].process, end, report)
      do throws(NodeError) {
        members[index].process = try spawn(
          name, members[index].arguments, threads: members[index].threads)
        members[index].deaths.hasStarted()
        report(.note("\(name) started again (process \(members[index].process.processID))"))
      } catch {
        tell(members[index].deaths.couldNotStart(), error, report)
      }
    }
  }

  /// Whether the server has answered without a word of a failure since a child was seen to have ended:
  /// that may only follow the run. The first answer may be to a question of before.
  private func goesOn(without child: ChildProcess) -> Bool {
    ends[child.processID].map { answers > $0.answers + 1 } ?? false
  }

  /// Says, the first time, that a process cannot be started: the others go on meanwhile.
  private func tell(_ isNews: Bool, _ error: NodeError, _ report: (Report) -> Void) {
    if isNews { report(.note("\(error); it is tried again every second")) }
  }

  /// Whether there is somebody to share the FC layers if a member dies.
  private func hasOtherFC(than index: Int) -> Bool {
    members.indices.contains {
      $0 != index && members[$0].roles.contains(.fc) && members[$0].process.poll() == nil
    }
  }

  /// Whether the run cannot go on without a member that is not started again.
  private func isNeeded(_ index: Int, _ latest: StatusRecord) -> Bool {
    let others = members.indices.filter { $0 != index }
    let hasWorker = others.contains {
      members[$0].process.name.hasPrefix("worker") && !members[$0].isLost
    }
    guard hasWorker, hasBegun else { return latest.state == .gathering || !hasWorker }
    // It may wait for others that are on their way, who have died since or with the server.
    return vainWait.isLong(for: members[index].roles) && serverDeaths.isSettled()
      && others.allSatisfy { members[$0].deaths.isSettled() }
  }

  /// Starts the server again after a sudden death: it goes on from its newest checkpoint, and the
  /// members join it.
  ///
  /// - Returns: whether there is a server again, or another attempt to be made.
  func replaceServer(
    _ endpoint: String, _ report: (Report) -> Void
  ) throws(NodeError) -> Bool {
    // It may be killed again while it starts.
    while hasBegun, ending == nil, case .killed = server?.end, directory.readSummary() == nil {
      guard !serverDeaths.isHeldBack() else { return true }
      guard serverDeaths.mayRestart() else {
        report(.note("the server is not started again: \(serverDeaths.reason)"))
        return false
      }
      // Nobody tells of one that another has replaced.
      watch(report)
      directory.takeBackAddress()
      do throws(NodeError) {
        try spawnServer(endpoint)
        serverDeaths.hasStarted()
      } catch {
        tell(serverDeaths.couldNotStart(), error, report)
        continue
      }
      guard try awaitServer(report) != nil, let server else { continue }
      report(.note("server started again (process \(server.processID))"))
      return true
    }
    return false
  }
}
