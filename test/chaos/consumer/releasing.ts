import { randomUUID } from 'node:crypto'
import type { Kafka } from 'kafkajs'
import { disconnect } from '../../../src/demo/kafka.ts'
import { pause } from '../../../src/internal/pause.ts'

const EVERY_MS = 1_500

/** Somebody who looks after what is held: releases it again and again, by commands on the control topic. */
export class Releasing {
  readonly #stop = new AbortController()
  readonly #working: Promise<void>

  constructor(kafka: Kafka, controlTopic: string, group: string) {
    this.#working = this.#work(kafka, controlTopic, group)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#working
  }

  async #work(kafka: Kafka, topic: string, group: string): Promise<void> {
    const { signal } = this.#stop
    const value = JSON.stringify({
      type: 'twr.command.release',
      filter: { state: 'held' },
      actor: 'chaos',
      reason: 'the campaign',
    })
    let producer = kafka.producer({ allowAutoTopicCreation: false })
    while (!signal.aborted) {
      const headers = { event_id: randomUUID(), 'twr-group': group }
      try {
        await producer.connect()
        await producer.send({ topic, messages: [{ key: group, value, headers }] })
      } catch {
        await disconnect(producer)
        producer = kafka.producer({ allowAutoTopicCreation: false })
      }
      await pause(EVERY_MS, signal)
    }
    await disconnect(producer)
  }
}
