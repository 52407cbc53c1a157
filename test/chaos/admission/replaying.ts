import type { Kafka } from 'kafkajs'
import { countRecords, disconnect, endOffsets } from '../../../src/demo/kafka.ts'
import { until } from '../../support/until.ts'
import { repeated } from '../campaign/repeated.ts'
import { connect } from '../campaign/stage.ts'
import type { Doors } from './doors.ts'
import type { HappeningOf } from './history.ts'
import { joinsUnread } from './resting.ts'
import type { AdmissionStage } from './stage.ts'

const READ_AGAIN_MS = 300_000
type Facts = Readonly<Record<string, string>>

/**
 * Lets the granter read all joins again, from the beginning of the topic, and compares what is there before and after.
 * The doors are stopped and stand again in between; in the end they are stopped.
 */
export async function replayJoins(
  stage: AdmissionStage,
  kafka: Kafka,
  doors: Doors,
): Promise<HappeningOf<'replayed'>> {
  const admin = kafka.admin()
  await admin.connect()
  const { joinsTopic: topic, changesTopic, group: groupId } = stage
  const sql = connect(stage.directUrl)
  try {
    await doors.stop()
    const facts = async () => ({
      ...(await factsOf(sql)),
      'records of changes': String(await countRecords(admin, [changesTopic])),
    })
    const before = await facts()
    const ends = await endOffsets(admin, topic)
    const partitions = [...ends.keys()].map(partition => ({ partition, offset: '0' }))
    await repeated('rewinding the granter', () => admin.setOffsets({ groupId, topic, partitions }))
    const records = await joinsUnread(admin, stage)
    await doors.start()
    const isRead = async () => (await joinsUnread(admin, stage)) === 0
    await until(isRead, { deadlineMs: READ_AGAIN_MS, what: 'the joins are read again' })
    await doors.stop()
    return { kind: 'replayed', records, differences: differencesOf(before, await facts()) }
  } finally {
    await disconnect(admin)
    await sql.end({ timeout: 1 })
  }
}

function differencesOf(before: Facts, after: Facts): string[] {
  return Object.keys(before)
    .filter(name => before[name] !== after[name])
    .map(name => `${name}: ${before[name]}, then ${after[name]}`)
}

async function factsOf(sql: ReturnType<typeof connect>): Promise<Facts> {
  const [row] = await sql<Record<string, string>[]>`
    select
      (select md5(string_agg((to_jsonb(s))::text, ',' order by s.id)) from admission.sessions s) as sessions,
      (select md5(string_agg((to_jsonb(r))::text, ',' order by r.event_id)) from admission.rooms r) as rooms,
      (select count(*)::text from chaos.journal) as "rows of the journal",
      (select count(*)::text from outbox.events) as "events in the outbox"`
  return row ?? {}
}
