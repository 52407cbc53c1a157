import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { StatusFacts } from '../../src/cli/status-facts.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'

const DEADLINE_MS = 30_000
/** Nothing listens on port 1. */
const NOWHERE = 'postgres://me:hunter2@127.0.0.1:1/none'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function status(t: TestContext, url: string, ...flags: string[]): Promise<Ended> {
  const sluice = join(packageRoot(), 'bin', 'sluice')
  const child = spawn(process.execPath, [sluice, 'status', ...flags], {
    env: { PATH: process.env.PATH, DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  cleanup(t, () => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  const late = () => new Error('sluice status did not end')
  const [code] = await withDeadline(once(child, 'close'), DEADLINE_MS, late)
  return { code, stdout, stderr }
}

async function facts(t: TestContext, url: string): Promise<StatusFacts> {
  const { code, stdout, stderr } = await status(t, url, '--json')
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as StatusFacts
}

/** Seconds since something that was `least` seconds ago when it was set up; a run takes far less than a minute. */
function assertAge(seconds: number | null | undefined, least: number): void {
  assert.ok(typeof seconds === 'number', `${seconds} is no number`)
  assert.ok(
    seconds >= least && seconds < least + 60,
    `${seconds} s instead of ${least} s and a bit`,
  )
}

test('the status of an outbox that nobody has used yet', async t => {
  const { url } = await createDatabase(t)
  assert.deepEqual(await facts(t, url), {
    waiting: { events: 0, oldest_due_age_seconds: null, capped: false },
    retrying: { events: 0, keys: 0, next_try_in_seconds: null, capped: false },
    dead_letters: { events: 0, capped: false, by_reason: [] },
    lanes: { owned: 0, free: 64 },
    replicas: [],
    breakers: [],
    pauses: [],
    published_last_minute: null,
  })
})

test('what waits is counted, and aged by the oldest that is due', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.events (topic, key, event_type, created_at, not_before) values
      ('t', 'a', 'T', now() - interval '1 hour', now() + interval '1 hour'),
      ('t', 'a', 'T', now() - interval '10 minutes', null),
      ('t', 'b', 'T', now() - interval '2 hours', now() - interval '5 minutes'),
      ('t', null, 'T', now() - interval '1 minute', null)`
  const { waiting } = await facts(t, url)
  const { oldest_due_age_seconds: age, ...counted } = waiting ?? {}
  assert.deepEqual(counted, { events: 4, capped: false })
  assertAge(age, 600)
})

test('with nothing due there is no age', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.events (topic, key, event_type, not_before) values
      ('t', 'a', 'T', now() + interval '1 hour')`
  const { waiting } = await facts(t, url)
  assert.deepEqual(waiting, { events: 1, oldest_due_age_seconds: null, capped: false })
})

test('counting stops at ten thousand and says so', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.events (topic, key, event_type, attempts)
    select 't', 'k' || n, 'T', 1 from generate_series(1, 10001) n`
  await sql`
    insert into outbox.dead_letters (id, lane, event_id, topic, event_type, headers, created_at, attempts, reason, error)
    select n, 0, gen_random_uuid(), 't', 'T', '{}', now(), 1, 'expired', '' from generate_series(1, 10000) n`
  const { waiting, retrying, dead_letters } = await facts(t, url)
  assert.deepEqual([waiting?.events, waiting?.capped], [10_000, true])
  assert.deepEqual([retrying?.events, retrying?.capped], [10_000, true])
  assert.deepEqual([dead_letters?.events, dead_letters?.capped], [10_000, false])
})

test('retries are counted by event and by key, with the time until the next one', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.events (topic, key, event_type, attempts, not_before) values
      ('t', 'a', 'T', 1, now() + interval '1 hour'),
      ('t', 'a', 'T', 2, now() + interval '2 hours'),
      ('u', 'a', 'T', 1, now() + interval '3 hours'),
      ('t', 'b', 'T', 0, now() + interval '1 minute')`
  const { retrying } = await facts(t, url)
  const { next_try_in_seconds: next, ...counted } = retrying ?? {}
  assert.deepEqual(counted, { events: 3, keys: 2, capped: false })
  assert.ok(typeof next === 'number' && next > 3_540 && next <= 3_600, `in ${next} s`)
})

test('dead letters are counted by reason, the most frequent first', async t => {
  const { url, sql } = await createDatabase(t)
  const reasons = ['expired', 'message_too_large', 'message_too_large', 'invalid_topic']
  for (const [id, reason] of reasons.entries()) {
    await sql`
      insert into outbox.dead_letters (id, lane, event_id, topic, event_type, headers, created_at, attempts, reason, error)
      values (${id}, 0, gen_random_uuid(), 't', 'T', '{}', now(), 1, ${reason}, 'no')`
  }
  const { dead_letters } = await facts(t, url)
  assert.deepEqual(dead_letters, {
    events: 4,
    capped: false,
    by_reason: [
      { reason: 'message_too_large', events: 2 },
      { reason: 'expired', events: 1 },
      { reason: 'invalid_topic', events: 1 },
    ],
  })
})

test('lanes and replicas: the living, the dead, and owners that are not registered any more', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.replicas (replica, version, host, started_at, alive_until) values
      ('alive', '1.2.3', 'host-a', now() - interval '1 hour', now() + interval '1 hour'),
      ('dead', '1.2.2', 'host-b', now() - interval '2 hours', now() - interval '1 minute')`
  await sql`
    update outbox.lanes set owner = case when lane < 20 then 'alive' when lane < 30 then 'vanished' else 'dead' end,
      leased_until = case
        when lane < 10 then now() + interval '30 minutes'
        when lane < 30 then now() + interval '1 hour'
        else now() - interval '1 second' end
    where lane < 40`
  const { lanes, replicas } = await facts(t, url)
  assert.deepEqual(lanes, { owned: 30, free: 34 })
  const [alive, dead, vanished] = replicas
  const { up_seconds: up, lease_left_seconds: left, ...aliveFacts } = alive ?? {}
  const version = '1.2.3'
  assert.deepEqual(aliveFacts, {
    replica: 'alive',
    version,
    host: 'host-a',
    alive: true,
    lanes: 20,
  })
  assertAge(up, 3_600)
  assert.ok(typeof left === 'number' && left > 1_740 && left <= 1_800, 'the first lease to end')
  const { up_seconds: _, ...deadFacts } = dead ?? {}
  assert.deepEqual(deadFacts, {
    replica: 'dead',
    version: '1.2.2',
    host: 'host-b',
    alive: false,
    lanes: 0,
    lease_left_seconds: null,
  })
  const { lease_left_seconds: rest, ...vanishedFacts } = vanished ?? {}
  assert.deepEqual(vanishedFacts, {
    replica: 'vanished',
    version: null,
    host: null,
    alive: false,
    up_seconds: null,
    lanes: 10,
  })
  assert.ok(typeof rest === 'number' && rest > 3_540)
  assert.equal(replicas.length, 3)
})

test('breakers are shown by name with state, reason and age', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.replicas (replica, version, host, alive_until) values ('r', '1', 'h', now() + interval '1 hour')`
  await sql`
    insert into outbox.breakers (replica, breaker, state, reason, since) values
      ('r', 'topic:orders', 'half_open', 'no_leader: none', now() - interval '2 minutes'),
      ('r', 'cluster', 'open', 'timeout: no answer', now() - interval '1 hour')`
  const { breakers } = await facts(t, url)
  assert.deepEqual(
    breakers.map(({ since_seconds: _, ...breaker }) => breaker),
    [
      { breaker: 'cluster', state: 'open', reason: 'timeout: no answer', replica: 'r' },
      { breaker: 'topic:orders', state: 'half_open', reason: 'no_leader: none', replica: 'r' },
    ],
  )
  assertAge(breakers[0]?.since_seconds, 3_600)
  assertAge(breakers[1]?.since_seconds, 120)
})

test('pauses are shown with who did it, when and why', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.pauses (kind, name, reason, paused_by, paused_at) values
      ('topic', 'orders', 'bad deploy', 'kim@ops', now() - interval '2 minutes')`
  const { pauses } = await facts(t, url)
  const { paused_for_seconds: seconds, ...pause } = pauses[0] ?? {}
  const paused_by = 'kim@ops'
  assert.deepEqual(pause, { kind: 'topic', name: 'orders', reason: 'bad deploy', paused_by })
  assertAge(seconds, 120)
  assert.equal(pauses.length, 1)
})

test('with a history, what was published within the last minute is counted', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.published (
      id, lane, event_id, topic, event_type, headers, created_at, attempts, published_at, kafka_partition, kafka_offset
    )
    select n, 0, gen_random_uuid(), 't', 'T', '{}', now(), 0,
           now() - case when n <= 3 then interval '0' else interval '1 hour' end, 0, n
    from generate_series(1, 5) n`
  const { published_last_minute: published } = await facts(t, url)
  assert.deepEqual(published, { events: 3, capped: false })
})

test('for people the status is a table', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`insert into outbox.events (topic, key, event_type) values ('t', 'a', 'T')`
  const { code, stdout } = await status(t, url)
  assert.equal(code, 0)
  assert.match(stdout, /^waiting +1, oldest due for /m)
})

test('a database that is not reachable ends it with 1, without a secret', async t => {
  const { code, stdout, stderr } = await status(t, NOWHERE, '--json')
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /^sluice: .*ECONNREFUSED/)
  assert.doesNotMatch(stderr, /hunter2/)
})

test('a database without the schema ends it with 3 and the cure', async t => {
  const { url } = await createDatabase(t, { migrate: false })
  const { code, stdout, stderr } = await status(t, url, '--json')
  assert.deepEqual([code, stdout], [3, ''])
  assert.match(stderr, /sluice migrate/)
})
