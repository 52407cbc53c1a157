import { isRerun } from '../consumer/classify.ts'
import type { ConsumerListener } from '../consumer/consumer-events.ts'
import { CommitInDoubt } from '../consumer/delivery-store.ts'
import { type DependencyGate, POSTGRES } from '../consumer/gates.ts'
import type { Message } from '../consumer/message.ts'
import type { MessageHandling } from '../consumer/message-handling.ts'
import type { Outcome } from '../consumer/outcome.ts'
import { describeError, SluiceError } from '../errors.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { withLease } from './lease-keeper.ts'
import { type TaskEndSettings, taskEndOf } from './task-end.ts'
import type { ClaimedTask, TaskEnd, TaskStore } from './task-store.ts'

export interface TaskRunParts<T> {
  readonly store: TaskStore
  readonly handling: MessageHandling<T>
  readonly gate: DependencyGate
  readonly settings: TaskEndSettings & {
    readonly group: string
    readonly needs: readonly string[]
    readonly handlerTimeoutMs: number
  }
  readonly leaseMs: number
  readonly onEvent: ConsumerListener
  /** Aborted: handlers are to leave, and what they had goes back. */
  readonly abandon: AbortSignal
}

type NotDoneOutcome = Exclude<Outcome, { kind: 'done' }>

/** A transaction that lost against another one is run again at once, so often. */
const RERUNS_MAX = 5
const END_BACKOFF = { baseMs: 100, maxMs: 2_000 }
const HOW = {
  retry: 'retry',
  hold: 'hold',
  dead: 'dead',
  give_back: 'given_back',
} as const

/** The database's fault, as far as it is known, or nobody's: not that of this code. */
export function isStoreFault(error: unknown): boolean {
  return (
    error instanceof CommitInDoubt || (error instanceof SluiceError && error.code === 'database')
  )
}

/** Takes one claimed task to its end. Rejects for a bug only. */
export class TaskRun<T> {
  readonly #parts: TaskRunParts<T>

  constructor(parts: TaskRunParts<T>) {
    this.#parts = parts
  }

  async run(task: ClaimedTask): Promise<void> {
    const { handling, settings } = this.#parts
    if (task.expiresAt !== null && task.expiresAt.getTime() <= Date.now()) {
      await this.#end(task, { kind: 'drop', why: 'expired' })
    } else if (task.retryTopic !== null) {
      await this.#reproduce(task)
    } else if (task.attempts > settings.attemptsMax + 1) {
      // One more than allowed, for one that was held at its last attempt and then released.
      const reason = `claimed ${task.attempts} times: the workers died, or lost it`
      await this.#notDone(task, { kind: 'bad', reason }, undefined)
    } else {
      const reading = handling.read(task.record, task.messageId)
      if (reading.kind === 'message') await this.#handle(task, reading.message)
      else if (reading.kind === 'ignored') await this.#end(task, { kind: 'drop', why: 'ignored' })
      else await this.#notDone(task, { kind: 'bad', reason: reading.reason }, undefined)
    }
  }

  async #handle(task: ClaimedTask, message: Message<T>): Promise<void> {
    const { gate, settings, handling, abandon } = this.#parts
    let completed: boolean
    try {
      completed = await this.#complete(task, message)
    } catch (error) {
      if (abandon.aborted && !isStoreFault(error)) {
        await this.#end(task, { kind: 'give_back', due: { inMs: 0 } })
      } else {
        await this.#notDone(task, handling.outcomeOf(error), error)
      }
      return
    }
    if (!completed) return this.#fenced(task)
    this.#ended(task, 'done')
    gate.succeeded([...settings.needs, POSTGRES])
  }

  async #complete(task: ClaimedTask, message: Message<T>): Promise<boolean> {
    const { store, handling, settings, leaseMs, abandon } = this.#parts
    const leave = new AbortController()
    const onAbandon = () => leave.abort()
    abandon.addEventListener('abort', onAbandon)
    if (abandon.aborted) leave.abort()
    const durationMsMax = settings.handlerTimeoutMs + leaseMs
    const options = { attempt: task.attempts, signal: leave.signal }
    const bounds = { leaseMs, durationMsMax, onLost: onAbandon }
    try {
      return await withLease(store, task, bounds, async () => {
        for (let rerun = 0; ; rerun++) {
          try {
            return await store.complete(task, tx => handling.handle(message, tx, options))
          } catch (error) {
            if (rerun === RERUNS_MAX || leave.signal.aborted || !isRerun(error)) throw error
          }
        }
      })
    } finally {
      abandon.removeEventListener('abort', onAbandon)
    }
  }

  async #notDone(task: ClaimedTask, outcome: NotDoneOutcome, error: unknown): Promise<void> {
    const { onEvent, gate, settings } = this.#parts
    const { attempts: attempt } = task
    onEvent({ kind: 'not_done', ...this.#of(task), outcome, attempt, error })
    if (outcome.kind === 'down') gate.failed(outcome.dependency, outcome.reason)
    const end = taskEndOf(outcome, attempt, settings)
    const ended = await this.#end(task, end, error instanceof CommitInDoubt)
    if (ended && end.kind === 'dead') {
      onEvent({ kind: 'dead', ...this.#of(task), reason: end.reason, attempts: attempt })
    }
  }

  /** @param inDoubt the task may be done: if it is not ours any more, it was */
  async #end(task: ClaimedTask, end: TaskEnd, inDoubt = false): Promise<boolean> {
    const ours = await this.#repeated(() => this.#parts.store.end(task, end))
    if (ours === undefined) return false
    if (ours) this.#ended(task, end.kind === 'drop' ? dropped(end.why) : HOW[end.kind])
    else if (inDoubt) this.#ended(task, 'done')
    else this.#fenced(task)
    return ours
  }

  async #reproduce(task: ClaimedTask): Promise<void> {
    const ours = await this.#repeated(() => this.#parts.store.reproduce(task))
    if (ours) this.#ended(task, 'reproduced')
    else if (ours === false) this.#fenced(task)
  }

  /** Repeats what the database refused until the lease is over; then the task comes back by itself: undefined. */
  async #repeated(change: () => Promise<boolean>): Promise<boolean | undefined> {
    const { onEvent, settings, leaseMs, abandon, gate } = this.#parts
    const endMs = monotonicMs() + leaseMs
    for (let attempt = 1; ; attempt++) {
      try {
        return await change()
      } catch (error) {
        if (!isStoreFault(error)) throw error
        onEvent({ kind: 'store_failed', group: settings.group, error })
        gate.failed(POSTGRES, describeError(error))
      }
      await pause(fullJitterMs(attempt, END_BACKOFF.baseMs, END_BACKOFF.maxMs), abandon)
      if (abandon.aborted || monotonicMs() >= endMs) return undefined
    }
  }

  #fenced({ id: taskId }: ClaimedTask): void {
    const { onEvent, settings } = this.#parts
    onEvent({ kind: 'task_fenced', group: settings.group, taskId })
  }

  #ended(
    { id: taskId }: ClaimedTask,
    how: 'done' | 'expired' | 'reproduced' | (typeof HOW)[keyof typeof HOW],
  ): void {
    const { onEvent, settings } = this.#parts
    onEvent({ kind: 'task_ended', group: settings.group, taskId, how })
  }

  #of({ messageId, record: { topic, partition, offset } }: ClaimedTask) {
    return { group: this.#parts.settings.group, topic, partition, offset, messageId }
  }
}

function dropped(why: 'expired' | 'ignored' | 'bad'): 'expired' | 'done' {
  return why === 'expired' ? 'expired' : 'done'
}
