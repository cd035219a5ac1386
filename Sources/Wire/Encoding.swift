import CProtobufC
import CWire
import Messages

// Numbers are converted by truncation: `Message.checkContract` has just bounded each of them.

extension EncodingArena {
  /// The envelope of `message`, whose contract has been checked.
  func envelope(_ message: Message) -> UnsafeMutablePointer<Crosscut__V1__Envelope> {
    make(crosscut__v1__envelope__init) {
      $0.protocol_version = Limits.protocolVersion
      $0.run = message.header.run
      $0.view = message.header.view
      $0.sender = message.header.sender.value
      $0.incarnation = message.header.incarnation
      fill(&$0, message.body)
    }
  }

  private func fill(_ envelope: inout Crosscut__V1__Envelope, _ body: Body) {
    switch body {
    case .join(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_JOIN
      envelope.join = join(value)
    case .welcome(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_WELCOME
      envelope.welcome = make(crosscut__v1__welcome__init) {
        $0.node = value.node.value
        $0.rank = UInt32(value.rank)
      }
    case .refusal(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_REFUSAL
      envelope.refusal = make(crosscut__v1__refusal__init) {
        $0.reason = string(value.reason)
        $0.may_join_again = value.mayJoinAgain ? 1 : 0
      }
    case .view(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_MEMBERSHIP
      envelope.membership = view(value)
    case .heartbeat(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_HEARTBEAT
      envelope.heartbeat = heartbeat(value)
    case .advance(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_ADVANCE
      envelope.advance = make(crosscut__v1__advance__init) {
        $0.turn = value.turn
        $0.rate_reductions = UInt32(truncatingIfNeeded: value.rateReductions)
        $0.n_rate_changes = value.rateChanges.count
        $0.rate_changes = array(value.rateChanges.map(rateChange))
      }
    case .leave(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_LEAVE
      envelope.leave = make(crosscut__v1__leave__init) { $0.reason = string(value.reason) }
    case .stop(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_STOP
      envelope.stop = make(crosscut__v1__stop__init) {
        $0.outcome = value.outcome.wire
        $0.reason = string(value.reason)
      }
    case .goodbye:
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_GOODBYE
      envelope.goodbye = make(crosscut__v1__goodbye__init)
    case .statusRequest:
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_STATUS_REQUEST
      envelope.status_request = make(crosscut__v1__status_request__init)
    case .statusReply:
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_STATUS_REPLY
      envelope.status_reply = make(crosscut__v1__status_reply__init)
    case .commandRequest(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_COMMAND_REQUEST
      envelope.command_request = command(value)
    case .commandReply(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_COMMAND_REPLY
      envelope.command_reply = make(crosscut__v1__command_reply__init) {
        $0.text = string(value.text)
        $0.ok = value.ok ? 1 : 0
      }
    case .logRequest(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_LOG_REQUEST
      envelope.log_request = make(crosscut__v1__log_request__init) {
        $0.node = name(value.node)
        $0.after = value.after
        $0.ticket = value.ticket
      }
    case .logReply(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_LOG_REPLY
      envelope.log_reply = make(crosscut__v1__log_reply__init) {
        $0.ticket = value.ticket
        $0.last = value.last
        $0.problem = string(value.problem)
      }
    case .collect(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_COLLECT
      envelope.collect = make(crosscut__v1__collect__init) {
        $0.transfer = value.transfer
        $0.turn = value.turn
      }
    case .restore(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_RESTORE
      envelope.restore = make(crosscut__v1__restore__init) {
        $0.transfer = value.transfer
        $0.steps = value.steps
        $0.is_initial = value.isInitial ? 1 : 0
      }
    case .drill(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_DRILL
      envelope.drill = drill(value)
    case .complaint(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_COMPLAINT
      envelope.complaint = make(crosscut__v1__complaint__init) {
        $0.node = value.node.value
        $0.reason = string(value.reason)
      }
    case .push, .parameters, .activations, .featureGradients, .exchange, .report, .slice, .pictures,
      .guesses:
      fillBulk(&envelope, body)
    }
  }

  private func fillBulk(_ envelope: inout Crosscut__V1__Envelope, _ body: Body) {
    switch body {
    case .pictures(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_PICTURES
      envelope.pictures = make(crosscut__v1__pictures__init) {
        $0.first_row = UInt32(truncatingIfNeeded: value.firstRow)
        $0.rows = UInt32(truncatingIfNeeded: value.rows)
        $0.channels = UInt32(truncatingIfNeeded: value.channels)
        $0.height = UInt32(truncatingIfNeeded: value.height)
        $0.width = UInt32(truncatingIfNeeded: value.width)
      }
    case .guesses(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_GUESSES
      envelope.guesses = make(crosscut__v1__guesses__init) {
        $0.step = value.step
        $0.rows = UInt32(truncatingIfNeeded: value.rows)
        $0.classes = UInt32(truncatingIfNeeded: value.classes)
      }
    case .push(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_PUSH
      envelope.push = push(value)
    case .parameters(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_PARAMETERS
      envelope.parameters = make(crosscut__v1__parameters__init) {
        $0.version = value.version
        $0.chunk = UInt32(truncatingIfNeeded: value.chunk)
      }
    case .activations(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_ACTIVATIONS
      envelope.activations = make(crosscut__v1__activations__init) {
        $0.turn = value.turn
        $0.sub_batch = UInt32(truncatingIfNeeded: value.subBatch)
        $0.block = block(value.block)
      }
    case .featureGradients(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_FEATURE_GRADIENTS
      envelope.feature_gradients = make(crosscut__v1__feature_gradients__init) {
        $0.turn = value.turn
        $0.sub_batch = UInt32(truncatingIfNeeded: value.subBatch)
        $0.block = block(value.block)
      }
    case .exchange(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_EXCHANGE
      envelope.exchange = make(crosscut__v1__exchange__init) {
        $0.turn = value.turn
        $0.sub_batch = UInt32(truncatingIfNeeded: value.subBatch)
        $0.index = UInt32(truncatingIfNeeded: value.index)
      }
    case .report(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_REPORT
      envelope.report = make(crosscut__v1__report__init) {
        $0.turn = value.turn
        $0.sub_batch = UInt32(truncatingIfNeeded: value.subBatch)
        $0.loss_sum = value.lossSum
        $0.examples = UInt32(truncatingIfNeeded: value.examples)
      }
    case .slice(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_SLICE
      envelope.slice = slice(value)
    default:
      preconditionFailure("not a bulk body: \(body)")
    }
  }

  private func join(_ value: Join) -> UnsafeMutablePointer<Crosscut__V1__Join> {
    make(crosscut__v1__join__init) {
      $0.role = value.role.wire
      $0.host = string(value.host)
      $0.process_id = value.processID
      $0.software_version = string(value.softwareVersion)
      $0.endpoint = string(value.endpoint)
      $0.preferred_rank = value.preferredRank
      $0.allows_drills = value.allowsDrills ? 1 : 0
    }
  }

  private func name(_ value: NodeName) -> UnsafeMutablePointer<Crosscut__V1__MemberName> {
    make(crosscut__v1__member_name__init) {
      $0.role = value.role.wire
      $0.rank = UInt32(truncatingIfNeeded: value.rank)
    }
  }

  private func member(_ value: Member) -> UnsafeMutablePointer<Crosscut__V1__Member> {
    make(crosscut__v1__member__init) {
      $0.node = value.node.value
      $0.incarnation = value.incarnation
      $0.name = name(value.name)
      $0.endpoint = string(value.endpoint)
    }
  }

  private func view(_ value: View) -> UnsafeMutablePointer<Crosscut__V1__View> {
    make(crosscut__v1__view__init) {
      $0.number = value.number
      $0.resume_turn = value.resumeTurn
      $0.n_workers = value.workers.count
      $0.workers = array(value.workers.map(member))
      $0.n_fc_nodes = value.fcNodes.count
      $0.fc_nodes = array(value.fcNodes.map(member))
      $0.is_final = value.isFinal ? 1 : 0
      $0.dataset = dataset(value.dataset)
      $0.rate_reductions = UInt32(truncatingIfNeeded: value.rateReductions)
      $0.n_rate_changes = value.rateChanges.count
      $0.rate_changes = array(value.rateChanges.map(rateChange))
      $0.n_holders = value.holders.count
      $0.holders = numbers(value.holders)
    }
  }

  private func command(
    _ value: OperatorCommand
  ) -> UnsafeMutablePointer<Crosscut__V1__CommandRequest> {
    make(crosscut__v1__command_request__init) {
      switch value {
      case .stop(let reason):
        $0.command_case = CROSSCUT__V1__COMMAND_REQUEST__COMMAND_STOP
        $0.stop = string(reason)
      case .checkpointNow:
        $0.command_case = CROSSCUT__V1__COMMAND_REQUEST__COMMAND_CHECKPOINT_NOW
        $0.checkpoint_now = make(crosscut__v1__command_request__checkpoint_now__init)
      case .setLearningRate(let rate):
        $0.command_case = CROSSCUT__V1__COMMAND_REQUEST__COMMAND_LEARNING_RATE
        $0.learning_rate = rate
      case .drill(let value, let target):
        $0.command_case = CROSSCUT__V1__COMMAND_REQUEST__COMMAND_DRILL
        $0.drill = make(crosscut__v1__command_request__drill_request__init) {
          $0.drill = drill(value)
          $0.target = name(target)
        }
      }
    }
  }

  private func drill(_ value: Drill) -> UnsafeMutablePointer<Crosscut__V1__Drill> {
    make(crosscut__v1__drill__init) {
      $0.kind = value.kind.wire
      $0.milliseconds = UInt32(truncatingIfNeeded: value.milliseconds)
      $0.percent = UInt32(truncatingIfNeeded: value.percent)
      $0.latency_milliseconds = UInt32(truncatingIfNeeded: value.latencyMilliseconds)
    }
  }

  private func rateChange(_ value: RateChange) -> UnsafeMutablePointer<Crosscut__V1__RateChange> {
    make(crosscut__v1__rate_change__init) {
      $0.first_step = value.firstStep
      $0.factor = value.factor
    }
  }

  private func dataset(
    _ value: DatasetFacts
  ) -> UnsafeMutablePointer<Crosscut__V1__DatasetFacts> {
    make(crosscut__v1__dataset_facts__init) {
      $0.training_examples = value.trainingExamples
      $0.evaluation_examples = value.evaluationExamples
      $0.fingerprint = value.fingerprint
    }
  }

  private func heartbeat(_ value: Heartbeat) -> UnsafeMutablePointer<Crosscut__V1__Heartbeat> {
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

  private func push(_ value: Push) -> UnsafeMutablePointer<Crosscut__V1__Push> {
    make(crosscut__v1__push__init) {
      $0.turn = value.turn
      if let chunk = value.chunk {
        $0.subject_case = CROSSCUT__V1__PUSH__SUBJECT_CHUNK
        $0.chunk = UInt32(truncatingIfNeeded: chunk)
      } else {
        $0.subject_case = CROSSCUT__V1__PUSH__SUBJECT_EVALUATED
        $0.evaluated = make(crosscut__v1__push__evaluated__init)
      }
    }
  }

  private func block(_ value: RowBlock) -> UnsafeMutablePointer<Crosscut__V1__RowBlock> {
    make(crosscut__v1__row_block__init) {
      $0.first_row = UInt32(truncatingIfNeeded: value.firstRow)
      $0.rows = UInt32(truncatingIfNeeded: value.rows)
      $0.columns = UInt32(truncatingIfNeeded: value.columns)
    }
  }

  private func slice(_ value: Slice) -> UnsafeMutablePointer<Crosscut__V1__Slice> {
    make(crosscut__v1__slice__init) {
      $0.key = UInt32(truncatingIfNeeded: value.key)
      $0.first_row = UInt32(truncatingIfNeeded: value.firstRow)
      $0.rows = UInt32(truncatingIfNeeded: value.rows)
      $0.first_column = UInt32(truncatingIfNeeded: value.firstColumn)
      $0.columns = UInt32(truncatingIfNeeded: value.columns)
      $0.is_last = value.isLast ? 1 : 0
      $0.transfer = value.transfer
      $0.part =
        switch value.part {
        case .value: CROSSCUT__V1__SLICE_PART__SLICE_PART_VALUE
        case .velocity: CROSSCUT__V1__SLICE_PART__SLICE_PART_VELOCITY
        }
    }
  }
}
