import type { Log } from '../telemetry/log.ts'
import type { AssignmentListener } from './frame-source.ts'

export interface SubscriberOptions {
  /** Gets log lines, never payloads. Default: silence. */
  readonly logger?: Log
  /** Told of each join of the group. */
  readonly listener?: AssignmentListener
}

export const SILENT: Log = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} })
