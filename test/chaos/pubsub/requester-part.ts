import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { describeError, SluiceError } from '../../../src/errors.ts'
import {
  AirCoreFrame,
  Correspondent,
  ReplyPartitionLost,
  RequestTimeout,
} from '../../../src/pubsub/index.ts'
import type { Asked, Ending, Moved } from './history.ts'
import type { Part, Telling } from './party.ts'
import { configOf } from './party-config.ts'
import type { PartySpec } from './party-spec.ts'

const JOIN_AGAIN_MS = 500
const TICK_MS = 20
const REST_DEADLINE_MS = 75_000
const REST_IN_A_ROW = 10
const FINAL_REQUESTS = 20

/** Makes requests at a steady rate for as long as it is connected, and writes down what became of each. */
export class RequesterPart implements Part {
  readonly #spec: PartySpec
  readonly #telling: Telling
  readonly #open = new Set<Promise<Ending>>()
  #correspondent: Correspondent | null = null
  #asking: Promise<void> = Promise.resolve()
  #seq = 0
  #held = ''
  #stopped = false

  constructor(spec: PartySpec, telling: Telling) {
    this.#spec = spec
    this.#telling = telling
  }

  async join(): Promise<void> {
    while (this.#correspondent === null && !this.#stopped) {
      const correspondent = Correspondent.create(configOf(this.#spec))
      this.#tellOf('connecting')
      try {
        await correspondent.connect()
      } catch (error) {
        this.#telling.say(`connect: ${describeError(error)}`)
        await correspondent[Symbol.asyncDispose]()
        await wait(JOIN_AGAIN_MS)
        continue
      }
      this.#tellOf('connected')
      // Before anything else happens: it must be answered.
      const first = this.#ask(correspondent, 'faults', true)
      this.#correspondent = correspondent
      this.#asking = this.#askOn(correspondent)
      await first
    }
  }

  async leave(): Promise<void> {
    const correspondent = this.#correspondent
    if (correspondent === null) return
    this.#correspondent = null
    await this.#asking
    this.#tellOf('leaving')
    await correspondent[Symbol.asyncDispose]()
    this.#tellOf('left')
    await Promise.all(this.#open)
    const { open_requests: open, unmatched } = correspondent
    const { name: party } = this.#spec
    this.#telling.tell({ kind: 'counted', atMs: Date.now(), party, open, unmatched })
  }

  async rest(): Promise<void> {
    const untilMs = Date.now() + REST_DEADLINE_MS
    let inARow = 0
    while (inARow < REST_IN_A_ROW && Date.now() < untilMs && this.#correspondent !== null) {
      const how = await this.#ask(this.#correspondent, 'rest')
      inARow = how === 'reply' ? inARow + 1 : 0
    }
    const answered = inARow === REST_IN_A_ROW
    this.#telling.tell({ kind: 'rested', atMs: Date.now(), party: this.#spec.name, answered })
  }

  async final(): Promise<void> {
    const correspondent = this.#correspondent
    if (correspondent === null) return
    await Promise.all(
      Array.from({ length: FINAL_REQUESTS }, () => this.#ask(correspondent, 'final')),
    )
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.leave()
  }

  /** Whatever time a tick really takes, so many requests go out in a second. */
  async #askOn(correspondent: Correspondent): Promise<void> {
    const fromMs = performance.now()
    let asked = 0
    while (this.#correspondent === correspondent) {
      const due = ((performance.now() - fromMs) / 1_000) * this.#spec.requestsPerSecond
      // After a stop of the process, not all that it has missed.
      if (due - asked > this.#spec.requestsPerSecond) asked = Math.floor(due)
      this.#look(correspondent)
      for (; asked < due; asked++) this.#ask(correspondent, 'faults').catch(() => {})
      await wait(TICK_MS)
    }
  }

  #ask(correspondent: Correspondent, phase: Asked['phase'], first = false): Promise<Ending> {
    const asking = this.#request(correspondent, phase, first)
    this.#open.add(asking)
    return asking.finally(() => this.#open.delete(asking))
  }

  async #request(
    correspondent: Correspondent,
    phase: Asked['phase'],
    first: boolean,
  ): Promise<Ending> {
    const { name: party, timeoutMs } = this.#spec
    const id = randomUUID()
    const payload = `${party}:${this.#seq++}`
    const frame = AirCoreFrame.request({ type: 'Echo', id, payload })
    this.#telling.tell({ kind: 'asked', atMs: Date.now(), party, id, payload, first, phase })
    const ended = (how: Ending, echo: string | null, error: string | null): Ending => {
      this.#telling.tell({ kind: 'ended', atMs: Date.now(), party, id, how, echo, error })
      return how
    }
    try {
      const reply = await correspondent.request(frame, { timeoutMs })
      return ended('reply', reply.text(), null)
    } catch (error) {
      return ended(endingOf(error), null, describeError(error))
    }
  }

  #look({ partitions }: Correspondent): void {
    if (partitions.join() === this.#held) return
    this.#held = partitions.join()
    this.#telling.tell({ kind: 'held', atMs: Date.now(), party: this.#spec.name, partitions })
  }

  #tellOf(kind: Moved['kind']): void {
    const { name: party, role } = this.#spec
    this.#telling.tell({ kind, atMs: Date.now(), party, role })
  }
}

function endingOf(error: unknown): Ending {
  if (error instanceof RequestTimeout) return 'timeout'
  if (error instanceof ReplyPartitionLost) return 'lost'
  return error instanceof SluiceError && error.code === 'lifecycle' ? 'closed' : 'other'
}
