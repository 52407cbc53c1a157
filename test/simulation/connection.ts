import { SluiceError } from '../../src/errors.ts'
import type { Statement } from './postgres-server.ts'
import { between } from './random.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

/** As of src/create-outbox.ts and src/postgres/database.ts. */
const STATEMENT_TIMEOUT_MS = 5_000
const ANSWER_MS = STATEMENT_TIMEOUT_MS + 2_000

/** Statements that change nothing. */
const READS: ReadonlySet<string> = new Set(['read', 'survey', 'writers', 'firstIds', 'awaitFlush'])

interface Call<T> {
  readonly what: string
  readonly statement: Statement<T>
  /** Runs as the replica. Only the first counts. */
  readonly settle: (delayMs: number, result: { value: T } | { error: string }) => void
}

/**
 * A replica's way to the database. A call that its caller has given up may still reach the server and be carried out:
 * bytes that are under way arrive even when their socket is closed.
 */
export class Connection {
  readonly #world: World
  readonly #replica: string

  constructor(world: World, replica: string) {
    this.#world = world
    this.#replica = replica
  }

  run<T>(what: string, statement: Statement<T>): Promise<T> {
    const { time, ledger } = this.#world
    return new Promise((resolve, reject) => {
      let settled = false
      const fail = (error: string) => {
        this.#world.history.add(this.#replica, `${what} failed: ${error}`)
        reject(
          new SluiceError('database', `${what} failed`, {
            cause: new Error(error),
            retryable: true,
          }),
        )
      }
      const once = (run: () => void) => () => {
        if (settled) return
        settled = true
        deadline.cancelled = true
        run()
      }
      const onDeadline = () => {
        ledger.trouble('database_silent', this.#replica, time.nowMs - ANSWER_MS, time.nowMs)
        fail('no answer')
      }
      const deadline = time.after(ANSWER_MS, this.#replica, () => once(onDeadline)(), true)
      const settle: Call<T>['settle'] = (delayMs, result) => {
        const run = once(() => ('value' in result ? resolve(result.value) : fail(result.error)))
        time.after(delayMs, this.#replica, run)
      }
      time.after(this.#travelMs(), WORLD, () => this.#arrive({ what, statement, settle }))
    })
  }

  #arrive<T>(call: Call<T>): void {
    const { server, weather } = this.#world
    if (!server.up || weather.is('database_down')) {
      call.settle(this.#travelMs(), { error: 'connection refused' })
      return
    }
    // Ends by itself: whatever comes of it is settled.
    this.#carryOut(call).catch(error => this.#world.failed(error, this.#replica))
  }

  async #carryOut<T>({ what, statement, settle }: Call<T>): Promise<void> {
    const { server, weather, time, ledger } = this.#world
    const { crashes } = server
    const breaks = weather.connectionBreaks
    const answerLost = weather.strikes('answer_lost', 0.02)
    const aborted = weather.strikes('statement_aborted', 0.02)
    const slow = weather.strikes('statement_slow', 0.02)
    if (answerLost) ledger.trouble('answer_lost', this.#replica, time.nowMs)
    if (aborted) ledger.trouble('statement_aborted', this.#replica, time.nowMs)
    if (slow) ledger.trouble('statement_slow', this.#replica, time.nowMs, time.nowMs + ANSWER_MS)
    if (answerLost || slow) weather.calmFromMs = time.nowMs + ANSWER_MS
    const random = () => weather.random()
    const dragMs = slow ? between(random, 500, 7_000) : weather.is('database_slow') ? 300 : 0
    const waitsFirst = weather.random() < 0.5
    const execution = {
      beforeMs: between(random, 0, 0.5) + (waitsFirst ? dragMs * between(random, 0.2, 1) : 0),
      holdMs: between(random, 0, 0.5) + (waitsFirst ? 0 : dragMs * between(random, 0.2, 1)),
      timeoutMs: STATEMENT_TIMEOUT_MS,
      aborted,
      writes: !READS.has(what),
    }
    try {
      const value = await server.execute(statement, execution)
      const broken = crashes !== server.crashes || breaks !== weather.connectionBreaks
      if (broken || (answerLost && weather.random() < 0.7)) {
        settle(this.#travelMs(), { error: 'connection reset' })
      } else if (!answerLost) {
        settle(this.#travelMs(), { value })
      } else {
        this.#world.history.add(this.#replica, `${what}: its answer is swallowed`)
      }
    } catch (error) {
      settle(this.#travelMs(), { error: (error as Error).message })
    }
  }

  #travelMs(): number {
    const { weather, time } = this.#world
    const random = () => weather.random()
    const untilMs = weather.cutOffUntilMs.get(this.#replica) ?? 0
    const heldMs = Math.max(0, untilMs - time.nowMs)
    const slowMs = weather.is('database_slow') ? between(random, 5, 400) : 0
    return between(random, 0.05, 1) + heldMs + slowMs
  }
}
