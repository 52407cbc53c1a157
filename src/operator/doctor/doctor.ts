import { describeError, SluiceError } from '../../errors.ts'
import { monotonicMs } from '../../internal/monotonic.ts'
import { pendingMigrations } from '../../migrate.ts'
import type { Options } from '../../options.ts'
import { type Sql, withConnection } from '../../postgres/short-connection.ts'
import { OutboxAccess } from '../outbox-access.ts'
import { checkBacklog } from './backlog-checks.ts'
import { checkBinding } from './binding-check.ts'
import { attempt, type Finding, fail, ok } from './finding.ts'
import { checkKafka } from './kafka-checks.ts'
import { checkServer } from './server-checks.ts'
import { checkTables } from './table-checks.ts'

interface KafkaFacts {
  readonly topics: readonly string[]
  readonly clusterId: string | null
}

/**
 * Looks at everything that a relay with these options depends on. Never rejects for what it finds: an unreachable
 * database or Kafka is a finding.
 * @throws SluiceError `options` when the database's URL cannot be read
 */
export async function examine(options: Options): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  let known: KafkaFacts = { topics: [], clusterId: null }
  try {
    known = await withConnection(options.databaseUrl, 'sluice doctor', sql =>
      examineDatabase(sql, options, findings),
    )
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'options') throw error
    const cure = 'check DATABASE_URL, the server, and the way there'
    findings.push(fail('database', describeError(error), cure))
  }
  const { messageBytesMax, deadLetterTopic } = options
  const topics = deadLetterTopic === null ? known.topics : [...known.topics, deadLetterTopic]
  const needs = { clusterId: known.clusterId, topics: [...new Set(topics)], messageBytesMax }
  findings.push(...(await checkKafka(options.kafka, needs)))
  return findings
}

/** Adds what it finds; without the schema there is nothing more to be looked at. */
async function examineDatabase(
  sql: Sql,
  options: Options,
  findings: Finding[],
): Promise<KafkaFacts> {
  const outbox = new OutboxAccess(sql)
  findings.push(await reach(outbox))
  const schema = await checkSchema(sql)
  findings.push(schema)
  if (schema.level === 'fail') return { topics: [], clusterId: null }
  let clusterId: string | null = null
  const binding = await attempt('binding', async () => {
    const found = await checkBinding(outbox)
    clusterId = found.clusterId
    return found.finding
  })
  findings.push(...binding, ...(await checkServer(outbox, options)))
  findings.push(...(await checkTables(outbox, options.retentionMs > 0)))
  findings.push(...(await checkBacklog(outbox)))
  return { topics: await topicsInUse(outbox), clusterId }
}

async function reach(outbox: OutboxAccess): Promise<Finding> {
  const startedMs = monotonicMs()
  const [row] = await outbox.read(
    'asking the database',
    tx => tx<{ version: string }[]>`select current_setting('server_version') as version`,
  )
  const tookMs = Math.round(monotonicMs() - startedMs)
  return ok('database', `PostgreSQL ${row?.version}, connected and answered in ${tookMs} ms`)
}

async function checkSchema(sql: Sql): Promise<Finding> {
  try {
    const pending = await pendingMigrations(sql)
    if (pending.length === 0) return ok('schema', 'up to date')
    return fail('schema', `lacks ${pending.join(', ')}`, 'run: sluice migrate')
  } catch (error) {
    return fail('schema', describeError(error), 'run the build that fits the schema')
  }
}

/** Topics of the first waiting events of each lane and of the newest published ones. */
async function topicsInUse(outbox: OutboxAccess): Promise<string[]> {
  const rows = await outbox.readUnlessSlow(
    'looking for topics in use',
    tx => tx<{ topic: string }[]>`
      select head.topic
      from generate_series(0, 63) as l (lane)
      cross join lateral (select topic from outbox.events where lane = l.lane order by id limit 1000) head
      union
      select newest.topic
      from (select topic from outbox.published order by published_at desc limit 1000) newest
      order by 1`,
  )
  return rows?.map(({ topic }) => topic) ?? []
}
