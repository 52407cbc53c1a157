import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type * as Kit from '../../src/consumer/index.ts'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from '../support/cleanup.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic } from '../support/kafka.ts'
import { send } from '../support/kafkajs-source.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { until } from '../support/until.ts'
import type { MutantTree } from './campaign/mutant-tree.ts'
import { startParts } from './campaign/stage.ts'
import { runConsumerCampaign } from './consumer/campaign.ts'
import { checkConsumers } from './consumer/checker.ts'
import { consumerTable } from './consumer/consumer-table.ts'
import { Crew } from './consumer/crew.ts'
import { ConsumerHistory } from './consumer/history.ts'
import { type Act, SPICE } from './consumer/message-plan.ts'
import { treeOfShortWaits } from './consumer/short-waits.ts'
import { EFFECTS_SQL } from './consumer/stage.ts'

/** Of members, transactions and offsets, so dense that they overlap. */
const FAULTS = [
  'member_killed_at',
  'member_frozen',
  'rebalance_storm',
  'commits_in_doubt',
  'backends_terminated',
  'postgres_crashed',
  'kafka_reset',
  'offset_commits_in_doubt',
  'mail_down',
]
const DEADLINE_MS = 55_000
/** Five sessions of six seconds. */
const PAUSE_MS = 30_000
/** The broker's wait for a fetch that finds nothing is 250 ms; the machine may do other things. */
const RESUME_MS = 2_000
const THROWS = 1_000
const THROWS_EACH = 4
/** Two that look like chance, and two with the record announced. */
const DEATHS_OF_A_KILLER = 4

async function database(t: TestContext) {
  const opened = await createDatabase(t)
  await applyConsumerSchema(opened.sql)
  return opened
}

/** Messages of one partition, and of so many keys. */
function messages(acts: readonly Act[], { first = 0, keys = 2 } = {}) {
  return acts.map((act, index) => {
    const n = first + index
    const headers = { event_id: randomUUID(), event_type: 'Numbered' }
    return { key: `k${n % keys}`, value: JSON.stringify({ n, act, amount: 0 }), headers }
  })
}

const plain = (count: number): Act[] => Array(count).fill('plain')

describe('the consumer kit under faults', { concurrency: true }, () => {
  let tree: MutantTree

  before(async () => {
    tree = await treeOfShortWaits(packageRoot())
  })
  after(() => tree.remove())

  test('a short campaign of overlapping faults: each effect once, in order, and nothing left behind', async t => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-consumers-'))
    cleanup(t, () => rm(folder, { recursive: true, force: true }))
    const history = await runConsumerCampaign(await startParts(t, 1), {
      ...{ root: tree.folder, folder: join(folder, 'logs'), seed: 3, durationMs: 14_000 },
      ...{
        members: [1, 2],
        inBatches: true,
        faults: FAULTS,
        faultEveryMs: 1_700,
        recordsPerSecond: 30,
        keys: 20,
      },
      ...{ spice: SPICE, attemptsMax: 6, drainDeadlineMs: 40_000 },
      onProgress: text => t.diagnostic(text),
    })
    const verdict = checkConsumers(history)
    for (const line of consumerTable(verdict).split('\n')) t.diagnostic(line)
    assert.deepEqual(verdict.violations, [])
    const faults = Object.values(verdict.counts.faults).reduce((sum, n) => sum + n, 0)
    assert.ok(faults >= 5, `${faults} faults`)
    assert.ok(verdict.counts.messages > 200, `${verdict.counts.messages} messages`)
  })

  test('a pause of many sessions: no rejoin, no call, and then it goes on at once', async t => {
    const { url } = await database(t)
    const topic = await createTopic(t, { partitions: 3 })
    const { createBus, jsonCodec } = (await import(
      pathToFileURL(join(tree.folder, 'src/consumer/index.ts')).href
    )) as typeof Kit
    const mail = { isUp: false, upMs: 0, probes: 0 }
    const events: Kit.ConsumerEvent[] = []
    const bus = createBus({
      databaseUrl: url,
      kafka: { brokers: kafkaBrokers() },
      controlTopic: null,
      listeners: [event => void events.push(event)],
      dependencies: {
        mail: {
          resetMs: 200,
          resetMaxMs: 500,
          probe: async () => {
            mail.probes++
            if (!mail.isUp) throw new Error('503')
            mail.upMs = performance.now()
          },
        },
      },
    })
    cleanup(t, () => bus.close())
    const calls: number[] = []
    const subscription = await bus.subscribe(
      { group: topic, topics: [topic], codec: jsonCodec(), needs: ['mail'] },
      async (_, { call }) => {
        calls.push(performance.now())
        await call('mail', async () => {
          if (!mail.isUp) throw new Error('503')
        })
      },
    )
    await send(topic, messages(plain(20)))
    await until(() => subscription.state === 'paused', { deadlineMs: 10_000, what: 'the pause' })
    // Transactions that were begun before the breaker opened may still call.
    const isQuiet = () => performance.now() - (calls.at(-1) ?? 0) > 1_000
    await until(isQuiet, { deadlineMs: 10_000, what: 'what had begun is over' })
    const begun = calls.length
    const pausedMs = performance.now()
    await until(() => performance.now() - pausedMs > PAUSE_MS, {
      deadlineMs: PAUSE_MS + 5_000,
      what: 'the pause is over',
    })
    assert.equal(calls.length, begun)
    assert.ok(mail.probes > 10, `${mail.probes} probes`)
    assert.equal(subscription.state, 'paused')
    mail.isUp = true
    await send(topic, messages(plain(20), { first: 20 }))
    await until(() => calls.length >= begun + 40, { deadlineMs: 10_000, what: 'all are handled' })
    const resumedMs = (calls[begun] ?? Number.POSITIVE_INFINITY) - mail.upMs
    t.diagnostic(`went on ${Math.round(resumedMs)} ms after the probe`)
    assert.ok(resumedMs < RESUME_MS, `went on after ${resumedMs} ms`)
    assert.equal(events.filter(({ kind }) => kind === 'joined').length, 1)
    assert.equal(events.filter(({ kind }) => kind === 'crashed').length, 0)
  })

  test('a thousand throws of every kind end no membership', async t => {
    const { url } = await database(t)
    const topic = await createTopic(t, { partitions: 2 })
    const { createBus, jsonCodec } = await import('../../src/consumer/index.ts')
    const events: Kit.ConsumerEvent[] = []
    const bus = createBus({
      databaseUrl: url,
      kafka: { brokers: kafkaBrokers() },
      controlTopic: null,
      listeners: [event => void events.push(event)],
    })
    cleanup(t, () => bus.close())
    let thrown = 0
    let handled = 0
    const subscription = await bus.subscribe(
      { group: topic, topics: [topic], codec: jsonCodec(), retry: { baseMs: 1, maxMs: 20 } },
      async (_, { attempt }) => {
        if (attempt <= THROWS_EACH) throwSome(thrown++)
        handled++
      },
    )
    await send(topic, messages(plain(THROWS / THROWS_EACH), { keys: 50 }))
    await until(() => handled === THROWS / THROWS_EACH, {
      deadlineMs: DEADLINE_MS,
      what: 'all are handled',
    })
    assert.equal(thrown, THROWS)
    assert.equal(subscription.state, 'running')
    assert.equal(events.filter(({ kind }) => kind === 'crashed').length, 0)
    assert.equal(events.filter(({ kind }) => kind === 'joined').length, 1)
  })

  test('a record that kills its process is found and held, and the others are handled', async t => {
    const { url, sql } = await database(t)
    await sql.unsafe(EFFECTS_SQL)
    const topic = await createTopic(t)
    const [control, dead, effects] = await Promise.all([1, 2, 3].map(() => createTopic(t)))
    const folder = await mkdtemp(join(tmpdir(), 'sluice-killer-'))
    cleanup(t, () => rm(folder, { recursive: true, force: true }))
    const history = new ConsumerHistory()
    const crew = new Crew({
      spec: {
        ...{ root: tree.folder, group: topic, topics: [topic], troubled: false, inBatches: false },
        ...{ databaseUrl: url, brokers: kafkaBrokers(), controlTopic: control ?? '' },
        ...{ deadLetterTopic: dead ?? '', effectsTopic: effects ?? '', attemptsMax: 6 },
        mailDownFile: join(folder, 'mail-is-down'),
      },
      ...{ members: 1, folder, history },
    })
    cleanup(t, () => crew.kill())
    await send(topic, messages(['killer', ...plain(4)]))
    const isHeld = async () => {
      if (crew.running.length === 0) crew.restart(0)
      const rows = await sql`select reason from waiting_room.tasks where state = 'held'`
      return rows[0]?.reason === 'killed its process'
    }
    await until(isHeld, { deadlineMs: DEADLINE_MS, what: 'it is held' })
    // Those of its own key wait behind it.
    const others = async () =>
      (await sql`select n from chaos.effects order by n`).map(({ n }) => n).join() === '1,3'
    await until(others, { deadlineMs: 10_000, what: 'the others are handled' })
    assert.equal(history.all('member_exited').length, DEATHS_OF_A_KILLER)
  })
})

function throwSome(n: number): void {
  switch (n % 6) {
    case 0:
      ;(undefined as unknown as { missing: () => void }).missing()
      break
    case 1:
      throw new RangeError('out of range')
    case 2:
      throw new ReferenceError('not defined')
    case 3:
      throw new SyntaxError('unexpected token')
    case 4:
      throw 'a text'
    default:
      throw new Error('an error', { cause: new TypeError('inner') })
  }
}
