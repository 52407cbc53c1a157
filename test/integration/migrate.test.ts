import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { Command } from 'commander'
import postgres from 'postgres'
import type { CliContext } from '../../src/cli/context.ts'
import { register } from '../../src/cli/migrate.ts'
import { describeError, SluiceError } from '../../src/errors.ts'
import {
  applyMigrations,
  type MigrationName,
  migrate,
  pendingMigrations,
  printMigrations,
} from '../../src/migrate.ts'
import { familyOf } from '../../src/migration-family.ts'
import { readMigrations, toMigration } from '../../src/migrations.ts'
import { Database } from '../../src/postgres/database.ts'
import { checkConsumerSchema } from '../../src/waiting-room/schema-check.ts'
import { createDatabase as createMigrated, type TestDatabase } from '../support/database.ts'

const names = readMigrations().map(({ name }) => name)
const current = names.length

const createDatabase = (t: TestContext): Promise<TestDatabase> =>
  createMigrated(t, { migrate: false })

const isError = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === code && message.test(describeError(error))

test('an empty database gets the whole schema, once', async t => {
  const { url, sql } = await createDatabase(t)
  assert.deepEqual(await pendingMigrations(sql), names)
  assert.deepEqual(await migrate({ databaseUrl: url }), { applied: names, current })
  assert.deepEqual(await pendingMigrations(sql), [])
  assert.deepEqual(await migrate({ databaseUrl: url }), { applied: [], current })
  const [row] = await sql`select * from outbox.migrations where number = 1`
  assert.equal(row?.name, '0001_outbox')
  assert.match(row?.checksum, /^[0-9a-f]{64}$/)
  assert.ok(row?.applied_at instanceof Date)
})

const admissionNames = readMigrations(familyOf('admission').folder).map(({ name }) => name)
const consumerNames = readMigrations(familyOf('consumer').folder).map(({ name }) => name)

test('the schema of the consumer is made beside the outbox, in whatever order they are named', async t => {
  const { url, sql } = await createDatabase(t)
  const refusal = isError('schema', /needs that of the outbox.*run: sluice migrate outbox consumer/)
  await assert.rejects(migrate({ databaseUrl: url, schemas: ['consumer'] }), refusal)
  const { applied } = await migrate({ databaseUrl: url, schemas: ['consumer', 'outbox'] })
  assert.deepEqual(applied, [...names, ...consumerNames])
  assert.deepEqual(await pendingMigrations(sql, 'consumer'), [])
  assert.deepEqual((await migrate({ databaseUrl: url, schemas: ['consumer'] })).applied, [])
  const rows = await sql`select name from waiting_room.migrations order by number`
  assert.deepEqual(
    rows.map(row => row.name),
    consumerNames,
  )
})

test('of many migrators of the consumer one does each step', async t => {
  const { url } = await createDatabase(t)
  const schemas = ['outbox', 'consumer'] as const
  const results = await Promise.all(
    Array.from({ length: 5 }, () => migrate({ databaseUrl: url, schemas })),
  )
  assert.deepEqual(
    results.flatMap(result => result.applied).sort(),
    [...names, ...consumerNames].sort(),
  )
})

test('a schema that there is not is refused', async t => {
  const { url } = await createDatabase(t)
  for (const schemas of [[], ['outbox', 'admissions']]) {
    const work = migrate({ databaseUrl: url, schemas: schemas as MigrationName[] })
    await assert.rejects(work, isError('options', /outbox and consumer/))
  }
})

test('a consumer is told how to make what its database lacks', async t => {
  const { url, sql } = await createDatabase(t)
  const database = new Database({
    url,
    applicationName: 'check',
    connectionsMax: 1,
    statementTimeoutMs: 5_000,
  })
  t.after(() => database.stop())
  const lacks = (what: RegExp) => isError('schema', what)
  await assert.rejects(checkConsumerSchema(database), lacks(/0001_outbox.*0001_waiting_room/))
  await migrate({ sql })
  const cure = /lacks 0001_waiting_room; run: sluice migrate outbox consumer/
  await assert.rejects(checkConsumerSchema(database), lacks(cure))
  await migrate({ sql, schemas: ['consumer'] })
  await checkConsumerSchema(database)
  await sql`insert into waiting_room.migrations (number, name, checksum) values (99, '0099_later', 'x')`
  await assert.rejects(checkConsumerSchema(database), lacks(/0099_later, newer/))
})

test('a client that was handed in is used, told of and left open', async t => {
  const { sql } = await createDatabase(t)
  const told: object[] = []
  const log = { debug() {}, warn() {}, error() {}, info: (facts: object) => told.push(facts) }
  await migrate({ sql, log })
  assert.deepEqual(
    told,
    names.map(migration => ({ migration })),
  )
  assert.equal((await sql`select 1 as one`)[0]?.one, 1)
})

test('of many migrators at once one does each step of the work, at any default isolation', async t => {
  for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
    const { url, sql } = await createDatabase(t)
    const [{ name }] = (await sql`select quote_ident(current_database()) as name`) as unknown as [
      { name: string },
    ]
    await sql.unsafe(`alter database ${name} set default_transaction_isolation to '${isolation}'`)
    await sql.unsafe(`alter database ${name} set default_transaction_read_only to on`)
    const results = await Promise.all(
      Array.from({ length: 6 }, () => migrate({ databaseUrl: url })),
    )
    const applied = results.flatMap(result => result.applied)
    assert.deepEqual(applied.sort(), names, 'each migration is applied by one of them')
    assert.ok(results.every(result => result.current === current))
  }
})

test('an applied migration that was altered is refused with the cure', async t => {
  const { url, sql } = await createDatabase(t)
  await migrate({ databaseUrl: url })
  await sql`update outbox.migrations set checksum = 'other' where number = 1`
  const refusal = isError(
    'schema',
    /0001_outbox was applied with other contents.*restore that file/,
  )
  await assert.rejects(migrate({ databaseUrl: url }), refusal)
  await assert.rejects(pendingMigrations(sql), refusal)
})

test('a database newer than this build is refused with the cure', async t => {
  const { url, sql } = await createDatabase(t)
  await migrate({ databaseUrl: url })
  await sql`insert into outbox.migrations (number, name, checksum) values (99, '0099_later', 'x')`
  const refusal = isError(
    'schema',
    /0099_later, newer than this build.*run a build at least as new/,
  )
  await assert.rejects(migrate({ databaseUrl: url }), refusal)
  await assert.rejects(pendingMigrations(sql), refusal)
})

/** Runs a script as psql does: text that may begin and end transactions, on one connection. */
async function runScript(url: string, script: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql.unsafe(script).simple()
  } finally {
    await sql.end({ timeout: 1 })
  }
}

test('the printed SQL makes the same schema, and migrate then finds it up to date', async t => {
  const printed = await createDatabase(t)
  const migrated = await createDatabase(t)
  await runScript(printed.url, printMigrations())
  assert.deepEqual(await migrate({ databaseUrl: printed.url }), { applied: [], current })
  await migrate({ databaseUrl: migrated.url })
  const schema = (sql: typeof printed.sql) => sql`
    select table_name, column_name, data_type, is_nullable, column_default
    from information_schema.columns where table_schema = 'outbox' order by 1, 2`
  assert.deepEqual([...(await schema(printed.sql))], [...(await schema(migrated.sql))])
})

test('the printed SQL run a second time changes nothing', async t => {
  const { url, sql } = await createDatabase(t)
  await runScript(url, printMigrations())
  await assert.rejects(runScript(url, printMigrations()), { code: '42P07' })
  assert.deepEqual(await pendingMigrations(sql), [])
})

test('a failing migration leaves nothing of itself and all of those before it', async t => {
  const { sql } = await createDatabase(t)
  const good = toMigration(
    '0001_good',
    'create schema if not exists outbox; create table outbox.a (x int);',
  )
  const bad = toMigration('0002_bad', 'create table outbox.b (x int); select 1/0;')
  await assert.rejects(
    applyMigrations(sql, [good, bad]),
    isError('database', /0002_bad failed and was rolled back: division by zero \(22012\)/),
  )
  const [row] = await sql`
    select to_regclass('outbox.a') is not null as a, to_regclass('outbox.b') is not null as b,
      (select array_agg(number) from outbox.migrations) as applied`
  assert.deepEqual({ ...row }, { a: true, b: false, applied: [1] })
  const fixed = toMigration('0002_bad', 'create table outbox.b (x int);')
  assert.deepEqual(await applyMigrations(sql, [good, fixed]), { applied: ['0002_bad'], current: 2 })
})

test('a migration that meets a locked table gives up instead of queueing the writers', async t => {
  const { url, sql } = await createDatabase(t)
  await migrate({ sql })
  const alter = toMigration('0099_alter', 'alter table outbox.events add column extra text;')
  const later = { ...alter, number: current + 1 }
  const reader = postgres(url, { max: 1 })
  t.after(() => reader.end({ timeout: 1 }))
  await reader.begin(async tx => {
    await tx`select count(*) from outbox.events`
    const attempt = applyMigrations(sql, [...readMigrations(), later], { lockTimeoutMs: 100 })
    await assert.rejects(
      attempt,
      (error: unknown) =>
        isError('database', /0099_alter.*rolled back.*locked for too long.*55P03/)(error) &&
        (error as SluiceError).retryable,
    )
  })
  assert.deepEqual(await pendingMigrations(sql), [])
})

test('a lock time-out that would mean waiting for ever is refused', async t => {
  const { sql } = await createDatabase(t)
  for (const lockTimeoutMs of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(migrate({ sql, lockTimeoutMs }), isError('options', /lockTimeoutMs/))
  }
})

test('a database that is not there is an error in time, without the password', async () => {
  const databaseUrl = 'postgres://someone:hunter2@127.0.0.1:1/none'
  await assert.rejects(migrate({ databaseUrl }), (error: unknown) => {
    assert.ok(isError('database', /ECONNREFUSED/)(error))
    return !describeError(error).includes('hunter2')
  })
})

test('a URL that cannot be read is an error without the password', async () => {
  const databaseUrl = 'postgres://someone:hunter2@[/none'
  await assert.rejects(migrate({ databaseUrl }), (error: unknown) => {
    assert.ok(isError('options', /DATABASE_URL/)(error))
    assert.equal((error as Error).cause, undefined)
    return !describeError(error).includes('hunter2')
  })
})

async function sluice(databaseUrl: string, ...args: string[]): Promise<string> {
  let printed = ''
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      printed += chunk
      done()
    },
  })
  const program = new Command().exitOverride()
  const context = { env: {}, stdout, stderr: stdout, loadOptions: () => ({ databaseUrl }) }
  register(program, context as unknown as CliContext)
  await program.parseAsync(args, { from: 'user' })
  return printed
}

test('sluice migrate says what it applied, and that there is nothing more to do', async t => {
  const { url } = await createDatabase(t)
  const done = `schema is up to date (migration ${current})\n`
  assert.equal(await sluice(url, 'migrate'), names.map(name => `applied ${name}\n`).join('') + done)
  assert.equal(await sluice(url, 'migrate'), done)
})

test('sluice migrate takes the names of schemas', async t => {
  const { url } = await createDatabase(t)
  const printed = await sluice(url, 'migrate', 'consumer', 'admission', 'outbox')
  const lines = (list: readonly string[], schema: string) =>
    `${list.map(name => `applied ${name}\n`).join('')}schema ${schema} is up to date (migration ${list.length})\n`
  const applied = [
    lines(names, 'outbox'),
    lines(consumerNames, 'waiting_room'),
    lines(admissionNames, 'admission'),
  ]
  assert.equal(printed, applied.join(''))
  const unknown = sluice(url, 'migrate', 'lobby')
  await assert.rejects(unknown, /Allowed choices are outbox, consumer, admission/)
})

test('the printed SQL of all makes all, and migrate then finds them up to date', async t => {
  const { url } = await createDatabase(t)
  await runScript(url, await sluice('', 'migrate', '--print', 'outbox', 'consumer', 'admission'))
  const schemas = ['outbox', 'consumer', 'admission'] as const
  assert.deepEqual((await migrate({ databaseUrl: url, schemas })).applied, [])
})

test('sluice migrate --print needs no database', async () => {
  assert.equal(await sluice('', 'migrate', '--print'), printMigrations())
})
