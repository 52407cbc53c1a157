import type { ConsumerListener } from '../src/consumer/consumer-events.ts'
import { type Bus, createBus, jsonCodec, type Message } from '../src/consumer/index.ts'
import type { KafkaConnection } from '../src/kafka/connection.ts'
import { Course, type Pace } from './course.ts'

export interface BusRun {
  readonly databaseUrl: string
  readonly connection: KafkaConnection
  readonly topic: string
  readonly events: number
  /** Name of the group, and of the run in the table of effects. */
  readonly run: string
}

interface Payload {
  readonly n: number
}

const codec = jsonCodec<Payload>()

/** `subscribeBatch` with its defaults: one transaction for up to 500 records of a partition. */
export async function batchesOfBus(run: BusRun): Promise<Pace> {
  const course = new Course(run.events)
  return withBus(run, course, {}, bus =>
    bus.subscribeBatch(
      { group: run.run, topics: [run.topic], codec },
      async (messages, { sql }) => {
        course.begin()
        await sql`
        insert into effects (run, event_id, key, seq)
        select ${run.run}, * from unnest(
          ${messages.map(({ id }) => id)}::text[], ${messages.map(keyOf)}::text[], ${messages.map(seqOf)}::int[]
        )`
      },
    ),
  )
}

/** `subscribe`: one transaction for each record. */
export async function singlesOfBus(run: BusRun, concurrency: number): Promise<Pace> {
  const course = new Course(run.events)
  return withBus(run, course, { connectionsMax: concurrency }, bus =>
    bus.subscribe(
      { group: run.run, topics: [run.topic], codec, concurrency },
      async (message, { sql }) => {
        course.begin()
        await sql`
          insert into effects (run, event_id, key, seq)
          values (${run.run}, ${message.id}, ${keyOf(message)}, ${seqOf(message)})`
      },
    ),
  )
}

async function withBus(
  { databaseUrl, connection }: BusRun,
  course: Course,
  settings: { readonly connectionsMax?: number },
  subscribe: (bus: Bus) => Promise<unknown>,
): Promise<Pace> {
  const listener: ConsumerListener = event => {
    if (event.kind === 'delivered') course.note(event.handled)
  }
  const bus = createBus({ ...settings, databaseUrl, kafka: connection, listeners: [listener] })
  try {
    await subscribe(bus)
    return await course.finished()
  } finally {
    await bus.close()
  }
}

function keyOf({ key }: Message<Payload>): string {
  return key ?? ''
}

function seqOf({ value }: Message<Payload>): number {
  return value.n
}
