import type { Kafka } from 'kafkajs'
import { monotonicMs } from '../internal/monotonic.ts'
import { type Fault, faultOf } from './fault.ts'

/** A grown topic is noticed after this time at the latest. */
const FRESH_MS = 60_000

interface Entry {
  readonly partitions: number
  readonly learntAtMs: number
}

/**
 * How many partitions each topic has. Topics are looked up here before a producer hears of them: a kafkajs producer
 * that was once given a missing topic fails for all its other topics too (its issue 1622).
 */
export class TopicDirectory {
  readonly #kafka: Kafka
  readonly #entries = new Map<string, Entry>()

  constructor(kafka: Kafka) {
    this.#kafka = kafka
  }

  /** The number of partitions, or why it cannot be told, for each topic. */
  async partitionsOf(topics: Iterable<string>): Promise<Map<string, number | Fault>> {
    const known = new Map<string, number | Fault>()
    const stale: string[] = []
    for (const topic of topics) {
      const entry = this.#entries.get(topic)
      if (entry && monotonicMs() - entry.learntAtMs < FRESH_MS) known.set(topic, entry.partitions)
      else stale.push(topic)
    }
    if (stale.length > 0) await this.#learn(stale, known)
    return known
  }

  forget(topic: string): void {
    this.#entries.delete(topic)
  }

  async #learn(topics: readonly string[], into: Map<string, number | Fault>): Promise<void> {
    const admin = this.#kafka.admin()
    try {
      await admin.connect()
      // One request per topic: a missing one fails the whole request it is in.
      for (const topic of topics) into.set(topic, await this.#lookUp(admin, topic))
    } catch (error) {
      for (const topic of topics) if (!into.has(topic)) into.set(topic, faultOf(error))
    } finally {
      admin.disconnect().catch(() => {})
    }
  }

  async #lookUp(admin: ReturnType<Kafka['admin']>, topic: string): Promise<number | Fault> {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const partitions = topics[0]?.partitions.length ?? 0
      if (partitions === 0) throw new Error('the broker names no partition of it')
      this.#entries.set(topic, { partitions, learntAtMs: monotonicMs() })
      return partitions
    } catch (error) {
      this.#entries.delete(topic)
      return faultOf(error)
    }
  }
}
