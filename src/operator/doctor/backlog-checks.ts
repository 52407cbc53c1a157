import type { OutboxAccess } from '../outbox-access.ts'
import { readPauses } from '../pauses.ts'
import { attempt, type Finding, fail, ok, roughly, warn } from './finding.ts'

const AGE_SECONDS_MAX = 60
const COUNT_MAX = 10_000

/** What waits, who works on it, and what an operator or a fault holds back. */
export async function checkBacklog(outbox: OutboxAccess): Promise<readonly Finding[]> {
  return [
    ...(await attempt('backlog', () => backlog(outbox))),
    ...(await attempt('lanes', () => lanes(outbox))),
    ...(await attempt('dead letters', () => deadLetters(outbox))),
    ...(await attempt('breakers', () => breakers(outbox))),
    ...(await attempt('pauses', () => pauses(outbox))),
  ]
}

function counted(events: number): string {
  return `${Math.min(events, COUNT_MAX).toLocaleString('en')}${events > COUNT_MAX ? '+' : ''}`
}

/** Index: primary key (lane, id); the oldest is the first due one among the first thousand of each lane. */
async function backlog(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'measuring the backlog',
    tx => tx<{ events: number; oldest: number | null }[]>`
      select (select count(*)::int from (select from outbox.events limit ${COUNT_MAX + 1}) e) as events,
        (
          select extract(epoch from now() - min(due.at))::float8
          from generate_series(0, 63) as l (lane)
          cross join lateral (
            select greatest(head.created_at, head.not_before) as at
            from (
              select e.created_at, e.not_before from outbox.events e where e.lane = l.lane order by e.id limit 1000
            ) head
            where head.not_before is null or head.not_before <= now() limit 1
          ) due
        ) as oldest`,
  )
  const { events = 0, oldest = null } = row ?? {}
  const found = `${counted(events)} waiting${oldest === null ? '' : `, oldest due for ${roughly(oldest)}`}`
  return oldest !== null && oldest > AGE_SECONDS_MAX
    ? warn('backlog', found, 'see the checks below for who holds them; sluice topics list')
    : ok('backlog', found)
}

async function lanes(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'looking at lanes and replicas',
    tx => tx<{ alive: number; free: number }[]>`
      select (select count(*)::int from outbox.replicas where alive_until > now()) as alive,
        (select count(*)::int from outbox.lanes where owner is null or leased_until < now()) as free`,
  )
  const { alive = 0, free = 0 } = row ?? {}
  if (alive === 0) return fail('lanes', 'no relay is running', 'start one: sluice run')
  const found = `${alive} ${alive === 1 ? 'relay' : 'relays'}, ${free} lanes without owner`
  return free > 0
    ? warn('lanes', found, 'those of a relay that died are taken when their leases end; look again')
    : ok('lanes', found)
}

async function deadLetters(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'counting dead letters',
    tx => tx<{ events: number; blocking: number }[]>`
      select (select count(*)::int from (select from outbox.dead_letters limit ${COUNT_MAX + 1}) d) as events,
        (
          select count(*)::int from (select from outbox.dead_letters where blocks_key limit ${COUNT_MAX + 1}) d
        ) as blocking`,
  )
  const { events = 0, blocking = 0 } = row ?? {}
  if (events === 0) return ok('dead letters', 'none')
  const hold = blocking > 0 ? `, ${counted(blocking)} of them hold their keys back` : ''
  const cure = 'sluice dead list, then dead requeue or dead discard'
  return warn('dead letters', `${counted(events)}${hold}`, cure)
}

async function breakers(outbox: OutboxAccess): Promise<Finding | Finding[]> {
  const rows = await outbox.read(
    'reading the breakers',
    tx => tx<{ breaker: string; state: string; reason: string; seconds: number }[]>`
      select distinct on (breaker) breaker, state, reason, extract(epoch from now() - since)::float8 as seconds
      from outbox.breakers order by breaker, state = 'open' desc, since limit 20`,
  )
  if (rows.length === 0) return ok('breakers', 'all closed')
  return rows.map(({ breaker, state, reason, seconds }) =>
    warn(
      'breakers',
      `${breaker} is ${state.replace('_', ' ')} for ${roughly(seconds)}: ${reason}`,
      'see to the reason; it closes by itself after the next probe that succeeds',
    ),
  )
}

async function pauses(outbox: OutboxAccess): Promise<Finding | Finding[]> {
  const paused = await readPauses(outbox)
  if (paused.length === 0) return ok('pauses', 'nothing is paused')
  return paused
    .slice(0, 20)
    .map(({ kind, name, paused_by, paused_for_seconds, reason }) =>
      warn(
        'pauses',
        `${kind} ${name} paused by ${paused_by} for ${roughly(paused_for_seconds)}: ${reason}`,
        `sluice ${kind}s resume ${name} --yes`,
      ),
    )
}
