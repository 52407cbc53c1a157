/**
 * What the control topic says, as JSON: events about tasks, which the kit writes with each change, and commands, which
 * anyone may write. Key: the waiting key's, so that what concerns a key stays in order. Header `twr-group`.
 */
export const CONTROL_TOPIC = 'twr-inbox'

/** A task has become what it says; `rev` tells an older event from a newer one. */
export interface TaskEvent {
  readonly type:
    | 'twr.new'
    | 'twr.retry'
    | 'twr.held'
    | 'twr.resumed'
    | 'twr.completed'
    | 'twr.failed'
    | 'twr.expired'
    | 'twr.removed'
    | 'twr.replayed'
    | 'twr.reproduced'
  readonly group: string
  readonly messageId: string
  readonly rev: number
  readonly state: 'waiting' | 'behind' | 'held' | 'done' | 'dead' | 'expired' | 'removed'
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly attempts: number
  /** ISO 8601. */
  readonly dueAt?: string
  readonly expiresAt?: string
  readonly reason?: string
  /** With the first alone, `rev` 1: the record, so that the room can be built again from the topic. Base64; a value of more than 512 KiB is left out. */
  readonly key?: string | null
  readonly value?: string | null
  readonly valueBytes?: number
  readonly headers?: unknown
  readonly recordAt?: string
  readonly ordered?: boolean
}

/** Which tasks a command means: all that meet every field given; at least one must be. */
export interface TaskFilter {
  readonly ids?: readonly string[]
  readonly messageIds?: readonly string[]
  readonly topic?: string
  readonly key?: string
  readonly state?: 'waiting' | 'behind' | 'held' | 'dead'
  readonly all?: true
}

/** Event types `twr.command.*`. `actor` and `reason` go to the audit trail. */
export type TaskCommand =
  /** Runs now: waiting and held ones become due; dead ones too, with their attempts at zero. */
  | {
      readonly type: 'twr.command.release'
      readonly filter: TaskFilter
      readonly actor: string
      readonly reason: string
    }
  | {
      readonly type: 'twr.command.remove'
      readonly filter: TaskFilter
      readonly actor: string
      readonly reason: string
    }
  /** Until: ISO 8601; none: until resumed. Without topic: the whole group. With key: that waiting key. */
  | {
      readonly type: 'twr.command.pause'
      readonly target: { topic?: string; partition?: number; key?: string }
      readonly until?: string
      readonly actor: string
      readonly reason: string
    }
  | {
      readonly type: 'twr.command.resume'
      readonly target: { topic?: string; partition?: number; key?: string }
      readonly actor: string
      readonly reason: string
    }
