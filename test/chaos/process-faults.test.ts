import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { withDeadline } from '../../src/internal/deadline.ts'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { startReplica } from '../support/fleet.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { openShop } from '../support/shop-run.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 60_000
const STOP_DEADLINE_MS = 15_000
const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0, duplicates: 0 }
const STEP_EVERY_MS = 1_000
/** Kafka refuses records from more than an hour ahead. */
const STEP_MS = 50 * 60_000

/** Read by each thread: the wall clock jumps to and fro, the monotonic one runs on. */
const JUMPING_CLOCK = `
const right = Date.now.bind(Date)
const ahead = () => Math.floor(performance.now() / ${STEP_EVERY_MS}) % 2 === 0
Date.now = () => right() + (ahead() ? ${STEP_MS} : -${STEP_MS})`

const mayUnshare = process.platform === 'linux' && process.getuid?.() === 0

test('a wall clock that jumps by an hour and more costs nothing', async t => {
  const { url, sql } = await createDatabase(t)
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url, brokers, ratePerSecond: 150 })
  const replica = await startReplica(t, {
    DATABASE_URL: url,
    KAFKA_BROKERS: brokers.join(','),
    SLUICE_WORKERS: '1',
    SLUICE_RETENTION: '0',
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(JUMPING_CLOCK)}`,
  })
  await until(() => shop.committed() > 600, { deadlineMs: DEADLINE_MS, what: 'events flow' })
  await shop.close()
  const { lost, phantom, mutated, outOfOrder, duplicates } = await shop.verdict(DEADLINE_MS)
  assert.deepEqual({ lost, phantom, mutated, outOfOrder, duplicates }, CLEAN)
  const times = [...replica.log.matchAll(/"time":"([^"]+)"/g)].map(found =>
    Date.parse(String(found[1])),
  )
  assert.ok(
    times.some(time => Math.abs(time - Date.now()) > STEP_MS / 2),
    'the clock was wrong',
  )
  assert.equal((await sql`select 1 from outbox.dead_letters`).length, 0)
  assert.doesNotMatch(replica.log, /"level":"(warn|error)"/)
})

test('as the first process of a container the relay ends at SIGTERM', {
  skip: mayUnshare ? false : 'a process namespace needs Linux and root',
}, async t => {
  const { url, sql } = await createDatabase(t)
  const bin = join(packageRoot(), 'bin', 'sluice')
  const unshared = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, bin, 'run']
  const child = spawn('unshare', unshared, {
    env: {
      ...process.env,
      DATABASE_URL: url,
      KAFKA_BROKERS: kafkaBrokers().join(','),
      SLUICE_HTTP: 'off',
      SLUICE_WORKERS: '1',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  cleanup(t, () => {
    child.kill('SIGKILL')
  })
  let log = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    log += text
  })
  await until(() => log.includes('lanes leased'), { deadlineMs: DEADLINE_MS, what: 'it works' })
  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  const exit = once(child, 'exit')
  process.kill(Number(children.trim()), 'SIGTERM')
  const late = () => new Error('SIGTERM is ignored')
  assert.deepEqual(await withDeadline(exit, STOP_DEADLINE_MS, late), [0, null])
  const [left] = await sql`select count(*)::int as owned from outbox.lanes where owner is not null`
  assert.equal(left?.owned, 0)
})
