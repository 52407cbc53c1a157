import type { Consumer, EachBatchHandler, EachBatchPayload, Kafka } from 'kafkajs'
import { openDatabase } from '../src/demo/database.ts'
import { disconnect } from '../src/demo/kafka.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { Course, type Pace } from './course.ts'
import type { Effects } from './effects.ts'

export interface RawRun {
  readonly kafka: Kafka
  readonly databaseUrl: string
  readonly topic: string
  readonly events: number
  /** Name of the group, and of the run in the table of effects. */
  readonly run: string
}

type Message = EachBatchPayload['batch']['messages'][number]

/** As many partitions at once as a subscription takes by default. */
const BATCHES_AT_ONCE = 8
const BATCH_SIZE = 500

/** Reads and throws away: what no consumer over kafkajs exceeds. */
export async function readRaw(run: RawRun): Promise<Pace> {
  const course = new Course(run.events)
  return consume(run, course, async ({ batch }) => {
    course.begin()
    course.note(batch.messages.length)
  })
}

/** One transaction for each batch, with a row of the inbox and an effect for each record, written by hand. */
export async function batchesRaw(run: RawRun): Promise<Pace> {
  const course = new Course(run.events)
  return withConnections(run, BATCHES_AT_ONCE, sql =>
    consume(run, course, async ({ batch: { messages, partition } }) => {
      course.begin()
      for (let from = 0; from < messages.length; from += BATCH_SIZE) {
        const part = messages.slice(from, from + BATCH_SIZE)
        await writeBatch(sql, run, partition, part)
        course.note(part.length)
      }
    }),
  )
}

/** One transaction for each record, records of a key one after the other, written by hand. */
export async function singlesRaw(run: RawRun, concurrency: number): Promise<Pace> {
  const course = new Course(run.events)
  const lines: Promise<void>[] = Array.from({ length: concurrency }, () => Promise.resolve())
  return withConnections(run, concurrency, sql =>
    consume(run, course, async ({ batch: { messages, partition } }) => {
      course.begin()
      for (const message of messages) {
        const line = lineOf(message, concurrency)
        lines[line] = (lines[line] as Promise<void>).then(async () => {
          await writeOne(sql, run, partition, message)
          course.note(1)
        })
      }
    }),
  )
}

async function writeBatch(
  sql: Sql,
  { run, topic }: RawRun,
  partition: number,
  messages: readonly Message[],
): Promise<void> {
  const { ids, keys, seqs } = effectsOf(messages)
  const offsets = messages.map(({ offset }) => offset)
  await sql.begin(async tx => {
    const fresh = await tx`
      insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
      select ${run}, d.id, ${topic}, ${partition}, d."offset"
      from unnest(${ids}::text[], ${offsets}::bigint[]) as d (id, "offset")
      on conflict do nothing
      returning message_id`
    if (fresh.length !== ids.length) throw new Error('a record came twice')
    await tx`
      insert into effects (run, event_id, key, seq)
      select ${run}, * from unnest(${ids}::text[], ${keys}::text[], ${seqs}::int[])`
  })
}

async function writeOne(
  sql: Sql,
  { run, topic }: RawRun,
  partition: number,
  message: Message,
): Promise<void> {
  const { ids, keys, seqs } = effectsOf([message])
  const [id, key, seq] = [ids[0] as string, keys[0] as string, seqs[0] as number]
  await sql.begin(async tx => {
    const fresh = await tx`
      insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
      values (${run}, ${id}, ${topic}, ${partition}, ${message.offset})
      on conflict do nothing
      returning message_id`
    if (fresh.length === 0) throw new Error('a record came twice')
    await tx`insert into effects (run, event_id, key, seq) values (${run}, ${id}, ${key}, ${seq})`
  })
}

function effectsOf(messages: readonly Message[]): Effects {
  return {
    ids: messages.map(({ headers }) => String(headers?.event_id)),
    keys: messages.map(({ key }) => String(key)),
    seqs: messages.map(({ value }) => (JSON.parse(String(value)) as { n: number }).n),
  }
}

function lineOf({ key }: Message, lines: number): number {
  let hash = 0
  for (const byte of key as Buffer) hash = (hash * 31 + byte) >>> 0
  return hash % lines
}

async function withConnections<T>(
  { databaseUrl }: RawRun,
  connectionsMax: number,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const sql = openDatabase(databaseUrl, 'sluice-bench-raw', connectionsMax)
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 2 })
  }
}

async function consume(
  { kafka, topic, run }: RawRun,
  course: Course,
  eachBatch: EachBatchHandler,
): Promise<Pace> {
  const consumer: Consumer = kafka.consumer({
    groupId: run,
    maxWaitTimeInMs: 250,
    allowAutoTopicCreation: false,
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ eachBatch, partitionsConsumedConcurrently: BATCHES_AT_ONCE })
    return await course.finished()
  } finally {
    await disconnect(consumer)
  }
}
