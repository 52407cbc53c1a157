import { setTimeout as wait } from 'node:timers/promises'
import { describeError } from '../../../src/errors.ts'
import {
  AirCoreFrame,
  publisher,
  topic_type,
  worker_subscriber,
} from '../../../src/pubsub/index.ts'
import type { Moved } from './history.ts'
import type { Part, Telling } from './party.ts'
import { configOf } from './party-config.ts'
import type { PartySpec } from './party-spec.ts'

const AGAIN_MS = 500
/** Frames handled at once. */
const LOOPS = 24
/** Some take long, so that requests are open whenever a group deals anew. */
const SLOW_EACH = 4
const SLOW_MS = 400

interface Shop extends AsyncDisposable {
  readonly loops: readonly Promise<void>[]
}

/** Answers each request with what it says. */
export class WorkerPart implements Part {
  readonly #spec: PartySpec
  readonly #telling: Telling
  #shop: Shop | null = null
  #stopped = false

  constructor(spec: PartySpec, telling: Telling) {
    this.#spec = spec
    this.#telling = telling
  }

  async join(): Promise<void> {
    while (this.#shop === null && !this.#stopped) {
      this.#tellOf('connecting')
      try {
        this.#shop = await this.#open()
        this.#tellOf('connected')
      } catch (error) {
        this.#telling.say(`connect: ${describeError(error)}`)
        await wait(AGAIN_MS)
      }
    }
  }

  async leave(): Promise<void> {
    const shop = this.#shop
    if (shop === null) return
    this.#shop = null
    this.#tellOf('leaving')
    await shop[Symbol.asyncDispose]()
    this.#tellOf('left')
  }

  async rest(): Promise<void> {}

  async final(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stopped = true
    await this.leave()
  }

  async #open(): Promise<Shop> {
    const settings = configOf(this.#spec)
    const subscriber = worker_subscriber.create(settings)
    const replies = publisher.create(settings)
    try {
      await subscriber.connect()
    } catch (error) {
      await subscriber[Symbol.asyncDispose]()
      await replies[Symbol.asyncDispose]()
      throw error
    }
    const over = new AbortController()
    const loops = Array.from({ length: LOOPS }, async () => {
      for await (const frame of subscriber.frames) await this.#answer(replies, frame, over.signal)
    })
    return {
      loops,
      [Symbol.asyncDispose]: async () => {
        await subscriber[Symbol.asyncDispose]()
        over.abort()
        // A loop that could not send its reply fails, so that its frame is handled by another worker.
        await Promise.allSettled(loops)
        await replies[Symbol.asyncDispose]()
      },
    }
  }

  /** A reply that is not confirmed is sent again: otherwise its request would count as handled without one. */
  async #answer(replies: publisher, frame: AirCoreFrame, over: AbortSignal): Promise<void> {
    if (Number(frame.text().split(':')[1]) % SLOW_EACH === 0) await wait(SLOW_MS)
    const reply = AirCoreFrame.reply(frame, frame.payload)
    for (;;) {
      try {
        await replies.send(reply, { topic_type: topic_type.reply_to })
        return
      } catch (error) {
        this.#telling.say(`reply: ${describeError(error)}`)
        if (over.aborted) throw error
        await wait(AGAIN_MS)
      }
    }
  }

  #tellOf(kind: Moved['kind']): void {
    const { name: party, role } = this.#spec
    this.#telling.tell({ kind, atMs: Date.now(), party, role })
  }
}
