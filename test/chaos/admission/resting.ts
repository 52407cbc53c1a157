import type { Admin, Kafka } from 'kafkajs'
import type postgres from 'postgres'
import { disconnect, endOffsets } from '../../../src/demo/kafka.ts'
import { until } from '../../support/until.ts'
import { connect } from '../campaign/stage.ts'
import { groupOffsets } from '../consumer/group-offsets.ts'
import type { AdmissionStage, Names } from './stage.ts'

export interface Rest {
  readonly drained: boolean
  readonly drainMs: number
  /** What had not come to its end in time. */
  readonly left: string
}

/** Waits until every session has ended, every join is read and every event is published. */
export async function comeToRest(
  stage: AdmissionStage,
  kafka: Kafka,
  deadlineMs: number,
): Promise<Rest> {
  const startedMs = performance.now()
  const admin = kafka.admin()
  await admin.connect()
  // Connections that no fault has touched.
  const sql = connect(stage.directUrl)
  let left = ''
  try {
    const atRest = async () => {
      left = await leftOf(sql, await joinsUnread(admin, stage))
      return left === ''
    }
    const drained = await until(atRest, { deadlineMs, what: 'all is at rest' }).then(
      () => true,
      () => false,
    )
    return { drained, drainMs: Math.round(performance.now() - startedMs), left }
  } finally {
    await disconnect(admin)
    await sql.end({ timeout: 1 })
  }
}

/** Records of the joins that the granter's group has not handled. */
export async function joinsUnread(admin: Admin, { group, joinsTopic }: Names): Promise<number> {
  const committed = await groupOffsets(admin, group, [joinsTopic])
  let unread = 0
  for (const [partition, end] of await endOffsets(admin, joinsTopic)) {
    const found = committed.find(each => each.partition === partition)
    unread += end - (found?.committed ?? 0)
  }
  return unread
}

async function leftOf(sql: postgres.Sql, unread: number): Promise<string> {
  const [open] = await sql<{ waiting: number; active: number; events: number }[]>`
    select (select count(*)::int from admission.sessions where status = 'WAITING') as waiting,
      (select count(*)::int from admission.sessions where status = 'ACTIVE') as active,
      (select count(*)::int from outbox.events) as events`
  const { waiting = 0, active = 0, events = 0 } = open ?? {}
  const left = [
    [waiting, 'sessions wait'],
    [active, 'sessions are active'],
    [events, 'events are in the outbox'],
    [unread, 'joins are unread'],
  ] as const
  return left
    .filter(([count]) => count !== 0)
    .map(([count, what]) => `${count} ${what}`)
    .join('; ')
}
