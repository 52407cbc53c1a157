import PQueue from 'p-queue'
import { POSTGRES } from '../consumer/gates.ts'
import { describeError } from '../errors.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { isStoreFault, TaskRun, type TaskRunParts } from './task-run.ts'
import type { ClaimedTask } from './task-store.ts'

export interface SchedulerOptions<T> extends Omit<TaskRunParts<T>, 'abandon' | 'leaseMs'> {
  /** Tasks handled at once. */
  readonly concurrency: number
  /** How long a worker that died keeps its task. Default 30,000. */
  readonly leaseMs?: number
  /** Tasks that others put there are found after this time at most. Default 1,000. */
  readonly pollMsMax?: number
}

const LEASE_MS = 30_000
const POLL_MS_MAX = 1_000
const FAILURE_BACKOFF = { baseMs: 200, maxMs: 5_000 }
/** For transactions to be rolled back and tasks given back, once their handlers were told to leave. */
const LEAVE_MS = 2_000

/**
 * The loop of one subscription over its waiting room: sleeps until the next task is due, claims no more than it can
 * begin, and hands each to a `TaskRun`. The database's clock alone decides what is due.
 *
 * running → draining (`stop`: claims no more) → abandoning (its time is over: handlers are told to leave) → stopped.
 * A database that fails is asked again later; what else goes wrong is a bug, and rejects `completed`.
 */
export class Scheduler<T = unknown> {
  readonly #options: Required<SchedulerOptions<T>>
  readonly #run: TaskRun<T>
  readonly #working: PQueue
  readonly #drain = new AbortController()
  readonly #abandon = new AbortController()
  /** Aborted to end the loop's sleep; each sleep has its own. */
  #bell = new AbortController()
  /** The last turn claimed nothing though something was due. */
  #missed = false
  #stopping: Promise<void> | undefined
  #bug: { readonly error: unknown } | undefined
  /** Resolves once stopped; rejects as soon as the scheduler dies on its own. */
  readonly completed: Promise<void>

  constructor(options: SchedulerOptions<T>) {
    this.#options = { leaseMs: LEASE_MS, pollMsMax: POLL_MS_MAX, ...options }
    this.#run = new TaskRun({ ...this.#options, abandon: this.#abandon.signal })
    this.#working = new PQueue({ concurrency: options.concurrency })
    this.completed = this.#loop()
    this.completed.catch(() => {})
  }

  /** Something was put into the waiting room that may be due before what is known. */
  wake(): void {
    this.#bell.abort()
  }

  /** Ends within `timeoutMs` and two seconds. Safe to call twice. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs)
    await this.#stopping
  }

  async #stop(timeoutMs: number): Promise<void> {
    this.#drain.abort()
    this.wake()
    if (!(await settledWithin(this.completed, timeoutMs))) {
      this.#abandon.abort()
      await settledWithin(this.completed, LEAVE_MS)
    }
  }

  async #loop(): Promise<void> {
    const unlisten = this.#options.gate.onChange(() => this.wake())
    try {
      for (let failures = 0; !this.#drain.signal.aborted && !this.#bug; ) {
        const failed = await this.#turn(failures)
        failures = failed ? failures + 1 : 0
      }
      await this.#working.onIdle()
    } catch (error) {
      this.#bug ??= { error }
    } finally {
      unlisten()
    }
    if (this.#bug) throw this.#bug.error
  }

  /** Claims and begins what it may, then sleeps. @returns whether the database failed */
  async #turn(failures: number): Promise<boolean> {
    const { store, settings, onEvent, gate, pollMsMax } = this.#options
    const limit = this.#limit()
    if (limit === 0) {
      await this.#sleep(pollMsMax)
      return false
    }
    try {
      const claimed = await this.#claim(limit)
      if (claimed.length === limit) return false
      const nextDueMs = (await store.nextDueInMs()) ?? pollMsMax
      await this.#rest(claimed.length, nextDueMs)
      return false
    } catch (error) {
      if (!isStoreFault(error)) throw error
      onEvent({ kind: 'store_failed', group: settings.group, error })
      gate.failed(POSTGRES, describeError(error))
      const { baseMs, maxMs } = FAILURE_BACKOFF
      await pause(baseMs + fullJitterMs(failures + 1, baseMs, maxMs), this.#drain.signal)
      return true
    }
  }

  /** What is due at once has become so after the claim; unless that happens again: then it is held. */
  async #rest(claimed: number, nextDueMs: number): Promise<void> {
    const isDue = nextDueMs === 0
    const isHeld = isDue && claimed === 0 && this.#missed
    this.#missed = isDue && claimed === 0 && !isHeld
    const { pollMsMax } = this.#options
    await this.#sleep(isHeld ? pollMsMax : Math.min(Math.ceil(nextDueMs), pollMsMax))
  }

  #limit(): number {
    const { gate, settings, concurrency } = this.#options
    const inWork = this.#working.size + this.#working.pending
    switch (gate.admits([...settings.needs, POSTGRES])) {
      case 'none':
        return 0
      case 'one':
        return inWork === 0 ? 1 : 0
      case 'all':
        return concurrency - inWork
    }
  }

  async #claim(limit: number): Promise<ClaimedTask[]> {
    const { store, settings, onEvent, gate, leaseMs } = this.#options
    const startedMs = monotonicMs()
    const tasks = await store.claim({ limit, leaseMs })
    // There may be no task that could find it out.
    gate.succeeded([POSTGRES])
    const [first] = tasks
    if (first) {
      const durationMs = monotonicMs() - startedMs
      const { lateMs } = first
      const { group } = settings
      onEvent({ kind: 'tasks_claimed', group, tasks: tasks.length, lateMs, durationMs })
    }
    for (const task of tasks) this.#begin(task)
    return tasks
  }

  #begin(task: ClaimedTask): void {
    this.#working
      .add(() => this.#run.run(task))
      .catch(error => {
        this.#bug ??= { error }
        this.#abandon.abort()
      })
      // There is room again, and the next of its key may be due.
      .finally(() => this.wake())
  }

  async #sleep(durationMs: number): Promise<void> {
    await pause(durationMs, this.#bell.signal)
    this.#bell = new AbortController()
  }
}

async function settledWithin(work: Promise<unknown>, durationMs: number): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  )
  return withDeadline(settled, durationMs, () => new Error('not settled')).catch(() => false)
}
