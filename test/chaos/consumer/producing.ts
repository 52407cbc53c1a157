import type { Kafka, Message, Producer } from 'kafkajs'
import { disconnect } from '../../../src/demo/kafka.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { MessagePlan, PlannedMessage } from './message-plan.ts'

const EVERY_MS = 50
const AGAIN_MS = 200
const CLOSE_DEADLINE_MS = 45_000

/**
 * Writes what the plan says, a batch at a time. A batch whose outcome is unknown is written again, as producers do; so
 * the topics hold some records more than once, and each batch comes for the first time after the one before it.
 */
export class Producing {
  readonly #kafka: Kafka
  readonly #plan: MessagePlan
  readonly #perSecond: number
  readonly #stop = new AbortController()
  readonly #written: Promise<void>
  /** Ids of records that were acknowledged: `topic/partition` → id by offset. */
  readonly acknowledged = new Map<string, Map<number, string>>()
  records = 0

  constructor(kafka: Kafka, plan: MessagePlan, perSecond: number) {
    this.#kafka = kafka
    this.#plan = plan
    this.#perSecond = perSecond
    this.#written = this.#write()
  }

  /** Resolves once the last batch is acknowledged. */
  async stop(): Promise<void> {
    this.#stop.abort()
    const late = new AbortController()
    const over = pause(CLOSE_DEADLINE_MS, late.signal).then(() => {
      if (!late.signal.aborted) throw new Error('the last batch was not acknowledged')
    })
    try {
      await Promise.race([this.#written, over])
    } finally {
      late.abort()
    }
  }

  async #write(): Promise<void> {
    const startedMs = performance.now()
    let producer: Producer | null = null
    while (!this.#stop.signal.aborted) {
      const due = ((performance.now() - startedMs) / 1_000) * this.#perSecond - this.records
      const batch: PlannedMessage[] = []
      // After an outage it does not catch up: what was not written then is not missed.
      for (let n = Math.min(due, this.#perSecond); n >= 1; n--) batch.push(...this.#plan.next())
      if (batch.length > 0) producer = await this.#writeBatch(batch, producer)
      await pause(EVERY_MS, this.#stop.signal)
    }
    if (producer) await disconnect(producer)
  }

  async #writeBatch(batch: readonly PlannedMessage[], open: Producer | null): Promise<Producer> {
    const byTopic = new Map<string, Message[]>()
    for (const { topic, partition, key, value, headers } of batch) {
      const messages = byTopic.get(topic) ?? []
      byTopic.set(topic, messages)
      messages.push({ key, value, partition, headers: { ...headers } })
    }
    const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }))
    for (let producer = open; ; ) {
      try {
        if (!producer) {
          producer = this.#kafka.producer({ allowAutoTopicCreation: false })
          await producer.connect()
        }
        const answers = await producer.sendBatch({ topicMessages, acks: -1 })
        for (const { topicName, partition, baseOffset } of answers) {
          const own = byTopic.get(topicName)?.filter(message => message.partition === partition)
          this.#note(`${topicName}/${partition}`, Number(baseOffset), own ?? [])
        }
        this.records += batch.length
        return producer
      } catch {
        if (producer) await disconnect(producer)
        producer = null
        await pause(AGAIN_MS, new AbortController().signal)
      }
    }
  }

  #note(place: string, baseOffset: number, messages: readonly Message[]): void {
    const ids = this.acknowledged.get(place) ?? new Map<number, string>()
    this.acknowledged.set(place, ids)
    for (const [index, { headers }] of messages.entries()) {
      const offset = baseOffset + index
      ids.set(offset, String(headers?.event_id ?? `${place}/${offset}`))
    }
  }
}
