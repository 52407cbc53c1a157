import type { Kafka, Producer as KafkajsClient, Message } from 'kafkajs'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'

/** What the broker said of a chunk: the offset of its first record. */
export interface ChunkAnswer {
  readonly baseOffset: bigint
}

/**
 * One kafkajs producer object, from its connect to its end. After any failed send it is retired: kafkajs keeps stale
 * metadata, dead sockets and poisoned topic lists in it, and a new object costs one connect.
 */
export class KafkajsSession {
  readonly #client: KafkajsClient
  readonly #connected: Promise<void>
  #inFlight = 0
  #retired = false

  constructor(kafka: Kafka) {
    this.#client = kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: false,
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition as number,
    })
    this.#connected = this.#client.connect()
    this.#connected.catch(() => {})
  }

  get retired(): boolean {
    return this.#retired
  }

  async connect(untilMs: number): Promise<void> {
    await withDeadline(this.#connected, untilMs - monotonicMs(), () => expired('connecting'))
  }

  /**
   * Sends records to one partition and returns the broker's answer. One partition a request: with several, kafkajs
   * reports only the first error, and after a leader's move may resolve without having sent a part.
   */
  async send(
    topic: string,
    partition: number,
    messages: Message[],
    untilMs: number,
  ): Promise<ChunkAnswer> {
    const leftMs = untilMs - monotonicMs()
    this.#inFlight++
    const sending = this.#client.send({ topic, messages, acks: -1, timeout: Math.ceil(leftMs) })
    sending.then(
      () => this.#ended(),
      () => this.#ended(),
    )
    const answers = await withDeadline(sending, leftMs, () => expired('publishing'))
    const [answer] = answers
    const named =
      answers.length === 1 && answer?.topicName === topic && answer.partition === partition
    if (!named || answer.errorCode !== 0 || answer.baseOffset === undefined) {
      throw new Error(`the answer does not confirm partition ${partition} of ${topic}`)
    }
    return { baseOffset: BigInt(answer.baseOffset) }
  }

  /** Takes no new work; disconnects once what is in flight has ended. */
  retire(): void {
    if (this.#retired) return
    this.#retired = true
    if (this.#inFlight === 0) this.#disconnect()
  }

  #ended(): void {
    this.#inFlight--
    if (this.#retired && this.#inFlight === 0) this.#disconnect()
  }

  #disconnect(): void {
    this.#connected.then(() => this.#client.disconnect()).catch(() => {})
  }
}

/** kafkajs does not cancel: the request may still succeed later, which is why the outcome is unknown. */
export function expired(doing: string): Error {
  const error = new Error(`no answer from the broker in time while ${doing}`)
  error.name = 'timeout'
  return error
}
