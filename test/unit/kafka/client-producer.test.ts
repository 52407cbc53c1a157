import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { ClientProducer } from '../../../src/kafka/client-producer.ts'
import type {
  ChunkAnswer,
  ClientSession,
  ClusterDescription,
} from '../../../src/kafka/client-session.ts'
import { expired } from '../../../src/kafka/client-session.ts'
import { type Fault, faultOfWay } from '../../../src/kafka/fault.ts'
import type { KafkaRecord } from '../../../src/kafka/record.ts'
import type { Outcome } from '../../../src/relay/producer.ts'
import { sampleEvents } from '../../contract/sample-event.ts'

const POISON = 'poison'

/** A session whose client throws, unsent, at each record of the key `poison`, and answers with garbage when told to. */
class StrangeSession implements ClientSession {
  readonly ended: Promise<void>
  readonly sent: string[] = []
  garbled = false
  retired = false
  #end: () => void = () => {}

  constructor() {
    this.ended = new Promise(resolve => {
      this.#end = resolve
    })
  }

  /** Batches that come before it is connected. */
  lateFor = 0

  async connect(): Promise<void> {
    if (this.lateFor-- > 0) throw expired('connecting')
  }

  async describe(topics: readonly string[]): Promise<ClusterDescription> {
    return { clusterId: 'one', topics: new Map(topics.map(topic => [topic, 1])) }
  }

  async send(_t: string, _p: number, records: readonly KafkaRecord[]): Promise<ChunkAnswer> {
    if (records.some(record => !this.encodes(record))) throw new TypeError('not a function')
    const first = this.sent.length
    this.sent.push(...records.map(({ key }) => key ?? ''))
    if (this.garbled) throw new TypeError('Cannot read properties of undefined')
    return { baseOffset: BigInt(first) }
  }

  encodes({ key }: KafkaRecord): boolean {
    return key !== POISON
  }

  faultOf(error: unknown): Fault {
    return faultOfWay((error as Error).name, (error as Error).message)
  }

  retire(): void {
    this.retired = true
    this.#end()
  }

  async close(): Promise<void> {
    this.retire()
  }
}

function setup({ lateFor = 0 } = {}) {
  const sessions: StrangeSession[] = []
  const options = {
    connection: { brokers: [], clientId: 'test' },
    requestTimeoutMs: 1_000,
    messageBytesMax: 900_000,
  }
  const producer = new ClientProducer(options, () => {
    const session = new StrangeSession()
    session.lateFor = lateFor
    sessions.push(session)
    return session
  })
  const publish = (...keys: string[]) =>
    producer.publish(sampleEvents(keys.map(key => ({ key }))), monotonicMs() + 1_000)
  return { producer, sessions, publish }
}

const codesOf = (outcomes: readonly Outcome[]) =>
  outcomes.map(outcome => (outcome.kind === 'acked' ? 'acked' : outcome.code))

test('an event at which the client itself throws is found and refused alone, with another attempt left', async () => {
  const { publish, sessions } = setup()
  const outcomes = await publish('a', POISON, 'b', POISON, 'c')
  const codes = ['acked', 'client_error', 'acked', 'key_held', 'acked']
  assert.deepEqual(codesOf(outcomes), codes)
  const refused = outcomes[1]
  assert.ok(refused?.kind === 'rejected' && !refused.permanent)
  assert.deepEqual(
    sessions.map(({ sent }) => sent),
    [['a', 'b', 'c']],
  )
})

test('an answer that the client cannot read blames no event, and nothing is sent twice for it', async () => {
  const { publish, sessions } = setup()
  await publish('a')
  const [first] = sessions
  first!.garbled = true
  assert.deepEqual(codesOf(await publish('b', 'c')), ['TypeError', 'TypeError'])
  assert.deepEqual([first?.sent, first?.retired], [['a', 'b', 'c'], true])
})

test('after a fault of the way the next batch has a session of its own', async () => {
  const { publish, sessions } = setup()
  await publish('a')
  sessions[0]!.garbled = true
  await publish('b')
  assert.deepEqual(codesOf(await publish('b')), ['acked'])
  assert.equal(sessions.length, 2)
})

test('a closed producer opens nothing and sends nothing', async () => {
  const { producer, publish, sessions } = setup()
  await publish('a')
  await producer.close(10)
  assert.deepEqual(codesOf(await publish('b')), ['closed'])
  assert.deepEqual(
    sessions.map(({ sent }) => sent),
    [['a']],
  )
})

test('a request has no more records than kafkajs can group without stalling its thread', async () => {
  const { publish, sessions } = setup()
  const sizes: number[] = []
  await publish('first')
  const session = sessions[0]!
  const send = session.send.bind(session)
  session.send = async (topic, partition, records) => {
    sizes.push(records.length)
    return send(topic, partition, records)
  }
  await publish(...Array.from({ length: 4_500 }, (_, n) => `k${n}`))
  assert.deepEqual(sizes, [2_000, 2_000, 500])
})

test('a session that connects slowly is waited for by the next batches, and given up when it never does', async () => {
  const { publish, sessions } = setup({ lateFor: 3 })
  for (let n = 0; n < 3; n++) assert.deepEqual(codesOf(await publish('a')), ['timeout'])
  assert.deepEqual(codesOf(await publish('a')), ['acked'])
  assert.equal(sessions.length, 1)

  const never = setup({ lateFor: Number.POSITIVE_INFINITY })
  for (let n = 0; n < 5; n++) await never.publish('a')
  assert.deepEqual(
    never.sessions.map(({ retired }) => retired),
    [true, false],
  )
})
