import type { Outcome } from './outcome.ts'
import type { TopicPartition } from './record-source.ts'

interface OfRecord extends TopicPartition {
  readonly group: string
  readonly offset: bigint
  readonly messageId: string
}

/** What a subscription tells those who watch it; its loops know nothing of logs and metrics. */
export type ConsumerEvent =
  | {
      readonly kind: 'joined'
      readonly group: string
      readonly epoch: number
      readonly partitions: readonly TopicPartition[]
    }
  | {
      readonly kind: 'revoked'
      readonly group: string
      readonly why: 'rebalance' | 'stop' | 'lost'
      readonly partitions: readonly TopicPartition[]
      /** Whether all that was in work had ended. */
      readonly drained: boolean
    }
  | {
      readonly kind: 'crashed'
      readonly group: string
      readonly error: unknown
      readonly restartInMs: number
    }
  | {
      readonly kind: 'out_of_range'
      readonly group: string
      readonly topic: string
      readonly partition: number
      readonly position: bigint
    }
  /** One transaction ended well. */
  | {
      readonly kind: 'delivered'
      readonly group: string
      readonly topic: string
      readonly handled: number
      readonly duplicates: number
      readonly behind: number
      readonly durationMs: number
    }
  /** A record, or a task, was not handled. */
  | (OfRecord & {
      readonly kind: 'not_done'
      readonly outcome: Exclude<Outcome, { kind: 'done' }>
      readonly attempt: number
      readonly error: unknown
    })
  | (OfRecord & { readonly kind: 'dead'; readonly reason: string; readonly attempts: number })
  | { readonly kind: 'store_failed'; readonly group: string; readonly error: unknown }
  | { readonly kind: 'commit_failed'; readonly group: string; readonly error: unknown }
  | {
      readonly kind: 'committed'
      readonly group: string
      readonly offsets: readonly (TopicPartition & { offset: bigint })[]
    }
  /** What is paused has changed, and why. */
  | {
      readonly kind: 'paused'
      readonly group: string
      readonly partitions: readonly TopicPartition[]
      readonly because: readonly string[]
    }
  | {
      readonly kind: 'dependency_changed'
      readonly dependency: string
      readonly state: 'closed' | 'open' | 'half_open'
      readonly reason: string
    }
  /** Tasks were claimed by the scheduler; `lateMs`: of the one that was due first. */
  | {
      readonly kind: 'tasks_claimed'
      readonly group: string
      readonly tasks: number
      readonly lateMs: number
      readonly durationMs: number
    }
  | {
      readonly kind: 'task_ended'
      readonly group: string
      readonly taskId: string
      readonly how: 'done' | 'retry' | 'hold' | 'dead' | 'expired' | 'given_back' | 'reproduced'
    }
  /** A worker that had lost its claim was kept from changing anything. */
  | { readonly kind: 'task_fenced'; readonly group: string; readonly taskId: string }
  /** The sweeper mended what must never be broken. */
  | {
      readonly kind: 'repaired'
      readonly group: string
      readonly keys: number
    }
  | {
      readonly kind: 'swept'
      readonly group: string
      readonly expired: number
      readonly inboxRows: number
    }
  | {
      readonly kind: 'command_applied'
      readonly group: string
      readonly command: string
      readonly tasks: number
    }
  | {
      readonly kind: 'bad_command'
      readonly group: string
      readonly messageId: string
      readonly reason: string
    }

export type ConsumerListener = (event: ConsumerEvent) => void
