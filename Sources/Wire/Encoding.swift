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
      envelope.leave = make(crosscut__v1__leave__init) {
        $0.reason = string(value.reason)
        $0.ends_run = value.endsRun ? 1 : 0
      }
    case .stop(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_STOP
      envelope.stop = make(crosscut__v1__stop__init) {
        $0.outcome = value.outcome.wire
        $0.reason = string(value.reason)
      }
    case .goodbye:
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_GOODBYE
      envelope.goodbye = make(crosscut__v1__goodbye__init)
    case .pull:
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_PULL
      envelope.pull = make(crosscut__v1__pull__init)
    case .applied(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_APPLIED
      envelope.applied = make(crosscut__v1__applied__init) { $0.turn = value.turn }
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
    case .traceRequest(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_TRACE_REQUEST
      envelope.trace_request = make(crosscut__v1__trace_request__init) {
        $0.turns = UInt32(value.turns)
        $0.sent_at = value.sentAt
      }
    case .traceReport(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_TRACE_REPORT
      envelope.trace_report = make(crosscut__v1__trace_report__init) {
        $0.requested_at = value.requestedAt
        $0.sent_at = value.sentAt
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
    case .fault(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_FAULT
      envelope.fault = make(crosscut__v1__fault__init) {
        $0.turn = value.turn
        $0.culprit = value.culprit.value
        $0.depth = UInt32(truncatingIfNeeded: value.depth)
        $0.what = string(value.what)
      }
    case .collect(let value):
      envelope.body_case = CROSSCUT__V1__ENVELOPE__BODY_COLLECT
      envelope.collect = make(crosscut__v1__collect__init) {
        $0.transfer = value.transfer
        $0.turn = value.turn
        $0.mirrored = value.mirrored ? 1 : 0
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

  func name(_ value: NodeName) -> UnsafeMutablePointer<Crosscut__V1__MemberName> {
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
      $0.n_shards = value.shards.count
      $0.shards = array(value.shards.map(member))
      $0.is_final = value.isFinal ? 1 : 0
      $0.dataset = dataset(value.dataset)
      $0.rate_reductions = UInt32(truncatingIfNeeded: value.rateReductions)
      $0.n_rate_changes = value.rateChanges.count
      $0.rate_changes = array(value.rateChanges.map(rateChange))
      $0.skipped_turns = value.skippedTurns
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
      case .trace(let turns):
        $0.command_case = CROSSCUT__V1__COMMAND_REQUEST__COMMAND_TRACE_TURNS
        $0.trace_turns = UInt32(turns)
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

  func dataset(
    _ value: DatasetFacts
  ) -> UnsafeMutablePointer<Crosscut__V1__DatasetFacts> {
    make(crosscut__v1__dataset_facts__init) {
      $0.training_examples = value.trainingExamples
      $0.evaluation_examples = value.evaluationExamples
      $0.fingerprint = value.fingerprint
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
      $0.number = UInt32(truncatingIfNeeded: value.number)
      $0.part =
        switch value.part {
        case .value: CROSSCUT__V1__SLICE_PART__SLICE_PART_VALUE
        case .velocity: CROSSCUT__V1__SLICE_PART__SLICE_PART_VELOCITY
        }
    }
  }
}
