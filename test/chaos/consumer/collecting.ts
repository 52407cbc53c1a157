import type { Kafka } from 'kafkajs'
import { sha256 } from '../../../src/demo/fingerprint.ts'
import { disconnect, endOffsets } from '../../../src/demo/kafka.ts'
import { readMessages } from '../campaign/read-records.ts'
import { connect } from '../campaign/stage.ts'
import { groupOffsets } from './group-offsets.ts'
import type { ConsumerHistory, Effect } from './history.ts'
import { deadLetterOf, producedRecordOf } from './record-facts.ts'
import type { ConsumerStage } from './stage.ts'

/** Puts into the history what Kafka and PostgreSQL hold, once at rest, and what the members have written. */
export async function collect(
  stage: ConsumerStage,
  kafka: Kafka,
  { history, logFiles }: { history: ConsumerHistory; logFiles: readonly string[] },
): Promise<void> {
  for (const file of logFiles) await history.read(file)
  await collectTopics(stage, kafka, history)
  await collectOffsets(stage, kafka, history)
  await collectTables(stage, history)
}

async function collectTopics(
  { topics, deadLetterTopic, effectsTopic }: ConsumerStage,
  kafka: Kafka,
  history: ConsumerHistory,
): Promise<void> {
  await readMessages(kafka, [...Object.keys(topics), deadLetterTopic, effectsTopic], read => {
    if (read.topic === deadLetterTopic) history.tell(deadLetterOf(read))
    else if (read.topic !== effectsTopic) history.tell(producedRecordOf(read))
    else {
      const { group, messageId } = JSON.parse(String(read.message.value))
      history.tell({ kind: 'published', group, messageId })
    }
  })
}

async function collectOffsets(
  { topics, groups }: ConsumerStage,
  kafka: Kafka,
  history: ConsumerHistory,
): Promise<void> {
  const names = Object.keys(topics)
  const admin = kafka.admin()
  await admin.connect()
  try {
    const ends = new Map(
      await Promise.all(names.map(async topic => [topic, await endOffsets(admin, topic)] as const)),
    )
    for (const group of groups) {
      const offsets = await groupOffsets(admin, group, names)
      for (const topic of names) {
        for (const [partition, end] of ends.get(topic) ?? []) {
          const found = offsets.find(each => each.topic === topic && each.partition === partition)
          const committed = found?.committed ?? 0
          history.tell({ kind: 'last_offset', group, topic, partition, committed, end })
        }
      }
    }
  } finally {
    await disconnect(admin)
  }
}

async function collectTables(stage: ConsumerStage, history: ConsumerHistory): Promise<void> {
  // Connections that no fault has touched.
  const sql = connect(stage.directUrl)
  try {
    const effects = await sql<Omit<Effect, 'kind'>[]>`
      select seq::int, group_id as "group", topic, message_id as "messageId", run, attempt,
        extract(epoch from started_at)::float8 * 1000 as "startedAtMs"
      from chaos.effects order by seq`
    for (const effect of effects) history.tell({ kind: 'effect', ...effect })
    for (const group of stage.groups) {
      const rows = await sql<{ id: string }[]>`
        select message_id as id from waiting_room.inbox where group_id = ${group}`
      history.tell({ kind: 'inbox', group, messageIds: rows.map(({ id }) => id) })
      const tasks = await sql`
        select topic, message_id, state, attempts, value
        from waiting_room.tasks where group_id = ${group}`
      for (const { topic, message_id: messageId, state, attempts, value } of tasks) {
        const task = { group, topic, messageId, state, attempts }
        history.tell({ kind: 'task', ...task, valueSha256: sha256(value) })
      }
      const keys = await sql`
        select topic, open from waiting_room.keys where group_id = ${group}`
      for (const { topic, open } of keys) history.tell({ kind: 'key', group, topic, open })
    }
  } finally {
    await sql.end({ timeout: 1 })
  }
}
