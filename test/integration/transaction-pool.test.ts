import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { CommitInDoubt } from '../../src/consumer/delivery-store.ts'
import type { Tx } from '../../src/consumer/tx.ts'
import { SluiceError } from '../../src/errors.ts'
import { enqueue } from '../../src/outbox/enqueue.ts'
import { NotCommitted } from '../../src/postgres/transaction.ts'
import { openTransactionPool, type TransactionPool } from '../../src/postgres/transaction-pool.ts'
import { startOwnPostgres } from '../chaos/faults/own-postgres.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { tapServer } from '../support/tapped-server.ts'
import { until } from '../support/until.ts'

const stray: unknown[] = []
const onStray = (error: unknown) => stray.push(error)
before(() => {
  process.on('unhandledRejection', onStray)
  process.on('uncaughtException', onStray)
})
after(() => {
  process.off('unhandledRejection', onStray)
  process.off('uncaughtException', onStray)
  assert.deepEqual(stray, [], 'nothing may be thrown where nobody can catch it')
})

interface PoolOverrides {
  readonly connectionsMax?: number
  readonly statementTimeoutMs?: number
  readonly idleInTransactionTimeoutMs?: number
}

function openPool(t: TestContext, url: string, overrides: PoolOverrides = {}): TransactionPool {
  const pool = openTransactionPool({
    url,
    applicationName: 'sluice pool',
    connectionsMax: 2,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
    ...overrides,
  })
  cleanup(t, () => pool.stop())
  return pool
}

async function setup(
  t: TestContext,
  overrides: PoolOverrides = {},
): Promise<TestDatabase & { pool: TransactionPool }> {
  const database = await createDatabase(t)
  await database.sql`create table effects (n int)`
  return { ...database, pool: openPool(t, database.url, overrides) }
}

const effects = async ({ sql }: Pick<TestDatabase, 'sql'>): Promise<number[]> =>
  (await sql`select n from effects order by n`).map(row => row.n as number)

const connections = async ({ sql }: Pick<TestDatabase, 'sql'>): Promise<number> =>
  (
    await sql`
      select from pg_stat_activity
      where application_name = 'sluice pool' and datname = current_database()`
  ).length

const isError = (code: string, message: RegExp, retryable?: boolean) => (error: unknown) =>
  error instanceof SluiceError &&
  error.code === code &&
  message.test(error.message) &&
  (retryable === undefined || error.retryable === retryable)

/** Ends the transaction's own backend from outside, and waits until that is done. */
async function terminate({ sql }: Pick<TestDatabase, 'sql'>, tx: Tx): Promise<void> {
  const [row] = await tx`select pg_backend_pid() as pid`
  await sql`select pg_terminate_backend(${row?.pid}, 5000)`
}

test('what is done in a transaction is there once it has ended, and not before', async t => {
  const made = await setup(t)
  const result = await made.pool.transaction(async tx => {
    await tx`insert into effects values (${1})`
    await tx`insert into effects ${tx([{ n: 2 }, { n: 3 }])}`
    await tx.unsafe('insert into effects values ($1)', [4])
    assert.deepEqual(await effects(made), [])
    return 'result'
  })
  assert.equal(result, 'result')
  assert.deepEqual(await effects(made), [1, 2, 3, 4])
})

test('a rejection rolls everything back and is passed on as it is', async t => {
  const made = await setup(t)
  const reason = { any: 'thing' }
  const work = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    throw reason
  })
  await assert.rejects(work, error => error === reason)
  const early = made.pool.transaction(() => {
    throw reason
  })
  await assert.rejects(early, error => error === reason)
  assert.deepEqual(await effects(made), [])
})

test('transactions are read committed and may write, whatever the database says', async t => {
  const { sql, pool } = await setup(t)
  const [{ name }] = (await sql`select quote_ident(current_database()) as name`) as unknown as [
    { name: string },
  ]
  await sql.unsafe(`alter database ${name} set default_transaction_isolation to 'serializable'`)
  await sql.unsafe(`alter database ${name} set default_transaction_read_only to on`)
  const [row] = await pool.transaction(
    tx => tx`
      select current_setting('transaction_isolation') as isolation,
        current_setting('transaction_read_only') as read_only,
        current_setting('idle_in_transaction_session_timeout') as idle`,
  )
  assert.deepEqual({ ...row }, { isolation: 'read committed', read_only: 'off', idle: '10s' })
})

test('arrays, JSON, bytes and the types of the user come and go as postgres.js has them', async t => {
  const { sql, pool } = await setup(t)
  await sql`create type mood as enum ('good', 'bad "\\ one')`
  const moods = ['good', 'bad "\\ one']
  const [row] = await pool.transaction(
    tx => tx`
      select ${[1, 2]}::int[] as ints, ${tx.array(['a,b', '{"}', 'null'])} as texts,
        ${moods}::mood[] as moods, ${tx.json({ a: [1] })}::jsonb as json,
        ${Buffer.from([0, 255])}::bytea as bytes, array[[1, null], [3, 4]] as matrix, '{}'::int[] as none,
        array['x', null, 'NULL', ''] as odd, ${[]}::text[] as empty, '[0:1]={7,8}'::int[] as shifted`,
  )
  assert.deepEqual(
    { ...row },
    {
      ints: [1, 2],
      texts: ['a,b', '{"}', 'null'],
      moods,
      json: { a: [1] },
      bytes: Buffer.from([0, 255]),
      matrix: [
        [1, null],
        [3, 4],
      ],
      none: [],
      odd: ['x', null, 'NULL', ''],
      empty: [],
      shifted: [7, 8],
    },
  )
})

test('the outbox takes it for a transaction', async t => {
  const { sql, pool } = await setup(t)
  const id = await pool.transaction(tx =>
    enqueue(tx, { topic: 'orders', key: 'k', eventType: 'E', payload: {} }),
  )
  const rows = await sql`select event_id from outbox.events`
  assert.deepEqual(
    rows.map(row => row.event_id),
    [id],
  )
})

test('begin and the first statement share a round trip', async t => {
  const { url, said } = await tapServer(t, (await createDatabase(t)).url)
  const pool = openPool(t, url, { connectionsMax: 1 })
  await pool.transaction(tx => tx.unsafe('select 1'))
  said.length = 0
  await pool.transaction(tx => tx.unsafe('select 2'))
  assert.ok(said[0]?.includes('begin') && said[0].includes('select 2'), said.join('|'))
})

test('a savepoint that fails takes back its own effects alone', async t => {
  const made = await setup(t)
  await made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await assert.rejects(
      tx.savepoint(async inner => {
        await inner`insert into effects values (2)`
        await inner`select 1 / 0`
      }),
      { code: '22012' },
    )
    const got = await tx.savepoint(async outer => {
      await outer`insert into effects values (3)`
      await assert.rejects(
        outer.savepoint(async inner => {
          await inner`insert into effects values (4)`
          await inner`select 1 / 0`.catch(() => {})
        }),
        { code: '22012' },
      )
      return 'got'
    })
    assert.equal(got, 'got')
  })
  assert.deepEqual(await effects(made), [1, 3])
})

test('a failed statement that the handler ignored is no success', async t => {
  const made = await setup(t)
  const work = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await tx`select 1 / 0`.catch(() => {})
  })
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof NotCommitted)
    return (error.cause as { code?: unknown }).code === '22012'
  })
  assert.deepEqual(await effects(made), [])
})

test('a commit that the server refuses is no success, and not in doubt', async t => {
  const made = await setup(t)
  await made.sql`create table parent (id int primary key)`
  await made.sql`create table child (id int references parent deferrable initially deferred)`
  const work = made.pool.transaction(tx => tx`insert into child values (1)`)
  await assert.rejects(work, NotCommitted)
})

test('a statement that nobody awaits belongs to its own transaction', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  await made.pool.transaction(async tx => {
    tx`insert into effects select 1 from pg_sleep(0.1)`.execute()
  })
  assert.deepEqual(await effects(made), [1])
  const failing = made.pool.transaction(async tx => {
    await tx`insert into effects values (2)`
    tx`select 1 / 0`.execute()
  })
  await assert.rejects(failing, NotCommitted)
  const [row] = await made.pool.transaction(tx => tx`select 'mine' as answer`)
  assert.equal(row?.answer, 'mine')
  assert.deepEqual(await effects(made), [1])
})

test('after its end a transaction takes no statement any more', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const kept: Tx[] = []
  await made.pool.transaction(async tx => {
    kept.push(tx)
  })
  const old = kept[0]!
  const refused = isError('lifecycle', /takes no more statements/)
  await made.pool.transaction(async tx => {
    await assert.rejects(async () => old`insert into effects values (1)`, refused)
    await assert.rejects(async () => old.unsafe('insert into effects values (2)'), refused)
    await assert.rejects(async () => old.savepoint(async () => {}), refused)
    await tx`insert into effects values (3)`
  })
  assert.deepEqual(await effects(made), [3])
})

test('a transaction that is given up is rolled back at once, whatever its handler does', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const stop = new AbortController()
  let late: Promise<unknown> | undefined
  let resume: () => void = () => {}
  const work = made.pool.transaction(
    async tx => {
      await tx`insert into effects values (1)`
      const waiting = new Promise<void>(settle => {
        resume = settle
      })
      late = waiting.then(() => tx`insert into effects values (2)`)
      stop.abort(new Error('time is over'))
      await late
    },
    { signal: stop.signal },
  )
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isError('lifecycle', /given up/)(error))
    return ((error as Error).cause as Error).message === 'time is over'
  })
  resume()
  await assert.rejects(late as Promise<unknown>, isError('lifecycle', /given up/))
  await made.pool.transaction(tx => tx`insert into effects values (3)`)
  assert.deepEqual(await effects(made), [3])
})

test('whoever gives up while waiting for a connection is let go, and nothing is done', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const stop = new AbortController()
  const work = async () => assert.fail('it is not to be called')
  await made.pool.transaction(async () => {
    const waiting = made.pool.transaction(work, { signal: stop.signal })
    stop.abort()
    await assert.rejects(waiting, isError('lifecycle', /given up/))
  })
  const late = made.pool.transaction(work, { signal: stop.signal })
  await assert.rejects(late, isError('lifecycle', /given up/))
  await made.pool.transaction(tx => tx`insert into effects values (1)`)
  assert.deepEqual(await effects(made), [1])
})

test('a statement in work is ended when its transaction is given up', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const stop = new AbortController()
  const work = made.pool.transaction(
    async tx => {
      await tx`insert into effects values (1)`
      const sleep = tx`select pg_sleep(8)`
      sleep.execute()
      await until(async () => (await sleeping()) === 1, { deadlineMs: 5_000, what: 'it sleeps' })
      stop.abort()
      await sleep
    },
    { signal: stop.signal },
  )
  const sleeping = async () =>
    (
      await made.sql`
        select from pg_stat_activity
        where application_name = 'sluice pool' and state = 'active' and query like '%pg_sleep%'
          and datname = current_database()`
    ).length
  const start = performance.now()
  await assert.rejects(work, isError('lifecycle', /given up/))
  assert.ok(performance.now() - start < 5_000)
  assert.equal(await sleeping(), 0)
  await made.pool.transaction(tx => tx`insert into effects values (2)`)
  assert.deepEqual(await effects(made), [2])
})

test('a handler that ends the transaction by itself is told so', async t => {
  const made = await setup(t)
  const hidden = 'select 1; commit; begin read write; select 2'
  for (const statement of ['commit', 'rollback', 'begin', 'commit; begin read write', hidden]) {
    const work = made.pool.transaction(async tx => {
      await tx.unsafe(statement)
      await tx.unsafe('select 1')
    })
    await assert.rejects(work, isError('lifecycle', /begun or ended a transaction/), statement)
  }
  assert.equal((await made.pool.transaction(tx => tx`select 1 as one`))[0]?.one, 1)
})

test('what would leave the transaction is refused', async t => {
  const { pool } = await setup(t)
  await pool.transaction(async tx => {
    const loose = tx as unknown as Record<string, () => unknown>
    for (const name of ['begin', 'end', 'listen', 'reserve', 'close', 'subscribe', 'file']) {
      assert.throws(() => loose[name]?.(), isError('lifecycle', new RegExp(`^${name}\\(\\)`)))
    }
    assert.throws(() => tx`select 1`.cursor(1), isError('lifecycle', /cursor/))
    assert.equal(loose.then, undefined)
  })
})

test('a parameter that cannot be sent is an error of that statement', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const bad = (tx: Tx) => tx`insert into effects values (${undefined as unknown as number})`
  const first = made.pool.transaction(tx => bad(tx))
  await assert.rejects(first, { code: 'UNDEFINED_VALUE' })
  await made.pool.transaction(async tx => {
    await tx`select 1`
    await assert.rejects(async () => bad(tx), { code: 'UNDEFINED_VALUE' })
    await tx`insert into effects values (1)`
  })
  const both = made.pool.transaction(async tx => {
    await tx`select 1`
    await Promise.allSettled([bad(tx), bad(tx), tx`insert into effects values (2)`])
  })
  await assert.rejects(both, { code: 'UNDEFINED_VALUE' })
  assert.deepEqual(await effects(made), [1])
})

test('a connection that is ended in the middle of a transaction fails it, and the next one works', async t => {
  const made = await setup(t)
  const refusals: unknown[] = []
  const work = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await terminate(made, tx).catch(() => {})
    for (let n = 0; n < 3; n++) {
      await tx`insert into effects values (2)`.catch(error => refusals.push(error))
      await new Promise(settle => setImmediate(settle))
    }
  })
  await assert.rejects(work, isError('database', /broke in a transaction/, true))
  await until(() => refusals.length === 3, { deadlineMs: 5_000, what: 'the handler has ended' })
  await made.pool.transaction(tx => tx`insert into effects values (3)`)
  assert.deepEqual(await effects(made), [3])
})

test('a connection that is ended right before the commit leaves nothing, and is said to be in doubt or broken', async t => {
  const made = await setup(t)
  const work = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await terminate(made, tx)
  })
  await assert.rejects(
    work,
    error => error instanceof CommitInDoubt || isError('database', /broke/, true)(error),
  )
  assert.deepEqual(await effects(made), [])
})

test('statements that wait for their turn do not run over a new connection', async t => {
  const made = await setup(t, { connectionsMax: 1 })
  const work = made.pool.transaction(async tx => {
    const [row] = await tx`select pg_backend_pid() as pid`
    const many = Array.from({ length: 20 }, (_, n) => tx`insert into effects values (${n}::int)`)
    const sleep = tx`select pg_sleep(5)`
    const all = Promise.allSettled([sleep, ...many])
    await made.sql`select pg_terminate_backend(${row?.pid}, 5000)`
    await all
  })
  await assert.rejects(work, isError('database', /broke in a transaction/))
  assert.deepEqual(await effects(made), [])
  await made.pool.transaction(tx => tx`select pg_sleep(0.1)`)
  await made.pool.stop()
  await until(async () => (await connections(made)) === 0, {
    deadlineMs: 5_000,
    what: 'no connection is left behind',
  })
})

test('a transaction that does nothing for too long is ended by the server', async t => {
  const made = await setup(t, { idleInTransactionTimeoutMs: 200 })
  const work = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await new Promise(() => {})
  })
  await assert.rejects(work, isError('database', /broke in a transaction/, true))
  assert.deepEqual(await effects(made), [])
})

test('a slow statement fails by itself', async t => {
  const { pool } = await setup(t, { statementTimeoutMs: 200 })
  await assert.rejects(
    pool.transaction(tx => tx`select pg_sleep(5)`),
    { code: '57014' },
  )
})

test('200 transactions over 4 connections all take place, each once', async t => {
  const made = await setup(t, { connectionsMax: 4 })
  await Promise.all(
    Array.from({ length: 200 }, (_, n) =>
      made.pool.transaction(async tx => {
        await tx`insert into effects values (${n})`
        if (n % 10 === 0) throw new Error('not this one')
      }),
    ).map(work => work.catch(error => assert.match(error.message, /not this one/))),
  )
  assert.equal((await effects(made)).length, 180)
  assert.equal(await connections(made), 4)
})

test('a server that is not there is an error at once, and found again when it is back', async t => {
  const postgres = await startOwnPostgres(t)
  const pool = openPool(t, postgres.url, { statementTimeoutMs: 1_000 })
  await pool.transaction(tx => tx`create table effects (n int)`)
  let stopped: Promise<void> | undefined
  const open = pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    stopped = postgres.stop('immediate')
    await stopped
    await tx`insert into effects values (2)`
  })
  await assert.rejects(open, isError('database', /broke in a transaction/, true))
  const failed = pool.transaction(tx => tx`select 1`)
  await assert.rejects(failed, isError('database', /./, true))
  await stopped
  await postgres.start()
  await until(
    async () =>
      (await pool.transaction(tx => tx`select count(*)::int as n from effects`))[0]?.n === 0,
    { deadlineMs: 15_000, what: 'transactions work again' },
  )
})

test('a server that has gone silent costs a transaction, not the pool', async t => {
  const postgres = await startOwnPostgres(t)
  const pool = openPool(t, postgres.url, { statementTimeoutMs: 500, connectionsMax: 1 })
  await pool.transaction(tx => tx`create table effects (n int)`)
  const work = pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    await postgres.freeze()
    await tx`insert into effects values (2)`
  })
  await assert.rejects(work, isError('database', /broke in a transaction/, true))
  postgres.thaw()
  await until(
    async () =>
      (await pool.transaction(tx => tx`select count(*)::int as n from effects`))[0]?.n === 0,
    { deadlineMs: 15_000, what: 'transactions work again' },
  )
})

test('a commit whose answer is lost is in doubt', async t => {
  const postgres = await startOwnPostgres(t)
  const pool = openPool(t, postgres.url)
  await pool.transaction(tx => tx`create table effects (n int)`)
  postgres.proxy.swallowAnswers({ sql: /^commit/i })
  await assert.rejects(
    pool.transaction(tx => tx`insert into effects values (1)`),
    CommitInDoubt,
  )
  const [row] = await pool.transaction(tx => tx`select count(*)::int as n from effects`)
  assert.equal(row?.n, 1)
})

test('stopping waits for transactions, but not for ever', { timeout: 30_000 }, async t => {
  const made = await setup(t, { connectionsMax: 1, idleInTransactionTimeoutMs: 60_000 })
  let started = false
  const endless = made.pool.transaction(async tx => {
    await tx`insert into effects values (1)`
    started = true
    await new Promise(() => {})
  })
  const waiting = made.pool.transaction(async () => {})
  await until(() => started, { deadlineMs: 5_000, what: 'it has begun' })
  const stopped = Promise.all([made.pool.stop(), made.pool.stop()])
  await assert.rejects(waiting, isError('lifecycle', /stopped/))
  await assert.rejects(endless, isError('database', /broke/))
  await stopped
  await assert.rejects(
    made.pool.transaction(async () => {}),
    isError('lifecycle', /stopped/),
  )
  assert.deepEqual(await effects(made), [])
})

test('a process that has stopped its pool ends by itself', async t => {
  const { url } = await setup(t)
  const script = `
    import { openTransactionPool } from './src/postgres/transaction-pool.ts'
    const pool = openTransactionPool({ url: process.env.POOL_URL, applicationName: 'x', connectionsMax: 2,
      statementTimeoutMs: 60000, idleInTransactionTimeoutMs: 60000 })
    await pool.transaction(async tx => { await tx\`select 1\` })
    const pid = (await pool.transaction(tx => tx\`select pg_backend_pid() as pid\`))[0].pid
    await pool.transaction(async tx => {
      await tx\`select pg_terminate_backend(\${pid})\`.catch(() => {})
      for (let i = 0; i < 5; i++) {
        tx\`select \${i}::int\`.execute()
        await new Promise(settle => setTimeout(settle, 5))
      }
    }).catch(error => console.log(error.code))
    await pool.stop()`
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script],
    { env: { ...process.env, POOL_URL: url }, timeout: 20_000 },
  )
  assert.equal(stdout, 'database\n')
  assert.equal(stderr.replaceAll(/npm warn.*\n/g, ''), '')
})
