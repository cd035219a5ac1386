import CWire
import Messages

// Words of the protocol as the generated code has them.

extension Role {
  var wire: Crosscut__V1__Role {
    switch self {
    case .server: CROSSCUT__V1__ROLE__ROLE_SERVER
    case .worker: CROSSCUT__V1__ROLE__ROLE_WORKER
    case .fc: CROSSCUT__V1__ROLE__ROLE_FC
    case .shard: CROSSCUT__V1__ROLE__ROLE_SHARD
    case .observer: CROSSCUT__V1__ROLE__ROLE_OBSERVER
    }
  }
}

extension Drill.Kind {
  var wire: Crosscut__V1__DrillKind {
    switch self {
    case .kill: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_KILL
    case .stop: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_STOP
    case .hang: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_HANG
    case .delay: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_DELAY
    case .drop: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_DROP
    case .corrupt: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_CORRUPT
    case .diskFull: CROSSCUT__V1__DRILL_KIND__DRILL_KIND_DISK_FULL
    }
  }
}

extension Stop.Outcome {
  var wire: Crosscut__V1__Stop__Outcome {
    switch self {
    case .finished: CROSSCUT__V1__STOP__OUTCOME__OUTCOME_FINISHED
    case .interrupted: CROSSCUT__V1__STOP__OUTCOME__OUTCOME_INTERRUPTED
    case .failed: CROSSCUT__V1__STOP__OUTCOME__OUTCOME_FAILED
    }
  }
}
