/**
 * The clock and the timers of the simulation, in place of the process's own: `setTimeout` and its kin, those of
 * `node:timers/promises`, `Date.now`, `performance.now`, `process.hrtime.bigint` and `Math.random`. Time stands still
 * while code runs and moves on to the next event only when all microtasks are done, so that one seed gives one history.
 *
 * Each event has an owner, a replica or the world around them. While its microtasks run, whatever they schedule has the
 * same owner; replicas share no promises, so nothing is ever put down to the wrong one. A frozen owner's events wait
 * until it thaws, as those of a stopped process do while its clock goes on; a dead owner's never come.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { EventQueue, type QueuedEvent } from './event-queue.ts'
import { type Random, randomStream } from './random.ts'

export const WORLD = 'world'

const START_MS = 1_000_000
const DATE_AT_START_MS = Date.UTC(2026, 0, 1)
/** An event loop that never rests would otherwise hold the run for ever. */
const STEPS_MAX = 3_000_000

export class VirtualTime {
  readonly #seed: number
  readonly #queue = new EventQueue()
  readonly #frozen = new Map<string, QueuedEvent[]>()
  readonly #dead = new Set<string>()
  readonly #randoms = new Map<string, Random>()
  readonly #jitter: Random
  readonly #onError: (error: unknown, owner: string) => void
  #nowUs = START_MS * 1000
  #owner = WORLD
  steps = 0

  constructor(seed: number, onError: (error: unknown, owner: string) => void) {
    this.#seed = seed
    this.#jitter = randomStream(seed, 'timer jitter')
    this.#onError = onError
  }

  /** Monotonic milliseconds, comparable with `monotonicMs()`. */
  get nowMs(): number {
    return this.#nowUs / 1000
  }

  get nowUs(): number {
    return this.#nowUs
  }

  get elapsedMs(): number {
    return this.nowMs - START_MS
  }

  get dateMs(): number {
    return DATE_AT_START_MS + Math.floor(this.elapsedMs)
  }

  get owner(): string {
    return this.#owner
  }

  /** The next number of the current owner's own stream. */
  random(): number {
    let random = this.#randoms.get(this.#owner)
    if (random === undefined) {
      random = randomStream(this.#seed, `Math.random of ${this.#owner}`)
      this.#randoms.set(this.#owner, random)
    }
    return random()
  }

  after(delayMs: number, owner: string, run: () => void, timer = false): QueuedEvent {
    return this.#queue.push(
      this.#nowUs + Math.max(0, Math.round(delayMs * 1000)),
      owner,
      run,
      timer,
    )
  }

  /** A timer of the current owner, as early and as late as Node's are. */
  timer(delayMs: number, run: () => void): QueuedEvent {
    const wholeMs = Number.isFinite(delayMs) && delayMs >= 1 ? Math.trunc(delayMs) : 1
    return this.after(wholeMs - 0.5 + this.#jitter() * 2, this.#owner, run, true)
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise(resolve => {
      this.after(delayMs, WORLD, resolve)
    })
  }

  freeze(owner: string): void {
    if (!this.#frozen.has(owner)) this.#frozen.set(owner, [])
  }

  /** @param timersFirst a process that goes on finds its timers and its sockets ready at once, in either order */
  thaw(owner: string, timersFirst: boolean): void {
    const waiting = this.#frozen.get(owner)
    if (waiting === undefined) return
    this.#frozen.delete(owner)
    if (timersFirst) waiting.sort((a, b) => Number(b.timer) - Number(a.timer))
    for (const { run, timer, cancelled } of waiting) {
      if (!cancelled) this.after(0, owner, run, timer)
    }
  }

  kill(owner: string): void {
    this.#dead.add(owner)
    this.#frozen.delete(owner)
  }

  /** Runs `start` at once as if an event of `owner` had. */
  runAs<T>(owner: string, start: () => T): T {
    const before = this.#owner
    this.#owner = owner
    try {
      return start()
    } finally {
      this.#owner = before
    }
  }

  /** Goes from event to event until `done`, or until nothing is left to happen. */
  run(done: () => boolean): Promise<void> {
    return new Promise(resolve => {
      // A tick that was asked for by a microtask comes when the queue of microtasks is empty.
      const whenAllIsDone = () => process.nextTick(step)
      const step = () => {
        const event = done() || this.steps >= STEPS_MAX ? undefined : this.#queue.pop()
        if (event === undefined) return resolve()
        this.#happen(event)
        queueMicrotask(whenAllIsDone)
      }
      queueMicrotask(whenAllIsDone)
    })
  }

  get exhausted(): boolean {
    return this.steps >= STEPS_MAX
  }

  #happen(event: QueuedEvent): void {
    this.#nowUs = Math.max(this.#nowUs, event.atUs)
    if (event.cancelled || this.#dead.has(event.owner)) return
    const frozen = this.#frozen.get(event.owner)
    if (frozen !== undefined) {
      frozen.push(event)
      return
    }
    this.steps++
    this.#owner = event.owner
    try {
      event.run()
    } catch (error) {
      this.#onError(error, event.owner)
    }
  }
}

type Callback = (...args: unknown[]) => void

/** Handles of timers, as far as the code under test uses them. */
class TimerHandle {
  event: QueuedEvent | null = null
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}

function abortError(signal: AbortSignal): Error {
  return Object.assign(new Error('The operation was aborted', { cause: signal.reason }), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  })
}

/** Puts the clock of `current()` in place of the process's. For the whole process, and for good. */
export function installVirtualTime(current: () => VirtualTime): void {
  const set = (callback: Callback, delayMs = 1, ...args: unknown[]) => {
    const handle = new TimerHandle()
    handle.event = current().timer(delayMs, () => callback(...args))
    return handle
  }
  const repeat = (callback: Callback, delayMs = 1, ...args: unknown[]) => {
    const handle = new TimerHandle()
    const again = () => {
      handle.event = current().timer(delayMs, () => {
        again()
        callback(...args)
      })
    }
    again()
    return handle
  }
  const clear = (handle: TimerHandle | undefined) => {
    if (handle?.event) handle.event.cancelled = true
  }
  const delay = (delayMs = 1, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError(signal))
      const onAbort = () => {
        event.cancelled = true
        reject(abortError(signal!))
      }
      const event = current().timer(delayMs, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve(value)
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  const globals = {
    setTimeout: set,
    setInterval: repeat,
    setImmediate: (callback: Callback, ...args: unknown[]) => set(callback, 1, ...args),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  }
  Object.assign(globalThis, globals)
  const require = createRequire(import.meta.url)
  const unavailable = () => {
    throw new Error('the simulation has no such timer')
  }
  Object.assign(require('node:timers'), globals)
  Object.assign(require('node:timers/promises'), {
    setTimeout: delay,
    setInterval: unavailable,
    setImmediate: unavailable,
  })
  // What `import { setTimeout } from 'node:timers/promises'` is bound to.
  syncBuiltinESMExports()
  Date.now = () => current().dateMs
  performance.now = () => current().elapsedMs
  process.hrtime.bigint = () => BigInt(current().nowUs) * 1000n
  Math.random = () => current().random()
}
