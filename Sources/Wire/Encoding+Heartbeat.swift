import CProtobufC
import CWire
import Messages

// Numbers are converted by truncation: `Message.checkContract` has just bounded each of them.

extension EncodingArena {
  func heartbeat(_ value: Heartbeat) -> UnsafeMutablePointer<Crosscut__V1__Heartbeat> {
    make(crosscut__v1__heartbeat__init) {
      $0.turn = value.turn
      $0.phase = string(value.phase)
      $0.milliseconds_since_progress = value.millisecondsSinceProgress
      $0.telemetry = telemetry(value.telemetry)
      $0.n_waits = value.waits.count
      $0.waits = array(value.waits.map(wait))
      $0.ready = value.ready ? 1 : 0
      $0.dataset = value.dataset.map(dataset)
      $0.restored = value.restored
      $0.n_held_groups = value.heldGroups.count
      $0.held_groups = numbers(value.heldGroups)
    }
  }

  private func telemetry(_ value: Telemetry) -> UnsafeMutablePointer<Crosscut__V1__Telemetry> {
    make(crosscut__v1__telemetry__init) {
      let times = value.stepMilliseconds
      $0.step_times = make(crosscut__v1__step_times__init) {
        $0.data = times.data
        $0.convolution_forward = times.convolutionForward
        $0.waiting_for_fc = times.waitingForFC
        $0.convolution_backward = times.convolutionBackward
        $0.waiting_for_parameters = times.waitingForParameters
        $0.compute = times.compute
        $0.waiting_for_peers = times.waitingForPeers
      }
      $0.bytes_sent = value.bytesSent
      $0.bytes_received = value.bytesReceived
      $0.resident_bytes = value.residentBytes
      $0.dropped_messages = value.droppedMessages
      $0.largest_gap_milliseconds = value.largestGapMilliseconds
      $0.loader_images_per_second = value.loaderImagesPerSecond
      $0.taken_images_per_second = value.takenImagesPerSecond
      $0.broken_examples = value.brokenExamples
    }
  }

  private func wait(_ value: Wait) -> UnsafeMutablePointer<Crosscut__V1__Wait> {
    make(crosscut__v1__wait__init) {
      switch value.owner {
      case .member(let owner):
        $0.owner_case = CROSSCUT__V1__WAIT__OWNER_MEMBER
        $0.member = name(owner)
      case .own(let part):
        $0.owner_case = CROSSCUT__V1__WAIT__OWNER_OWN
        $0.own = string(part)
      case .absent(let who):
        $0.owner_case = CROSSCUT__V1__WAIT__OWNER_ABSENT
        $0.absent = string(who)
      }
      $0.what = string(value.what)
      $0.milliseconds = value.milliseconds
    }
  }
}
