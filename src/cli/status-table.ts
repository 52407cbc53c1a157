import type { Count, StatusFacts } from './status-facts.ts'
import { align, counted, duration } from './table.ts'

/** The status for people: what waits, then who works on it. */
export function printStatus(facts: StatusFacts): string {
  const blocks = [
    align(summary(facts)),
    facts.replicas.length === 0
      ? 'No replica has ever run on this database, or all have been forgotten.'
      : align([
          ['REPLICA', 'STATE', 'UP', 'LANES', 'LEASE LEFT', 'VERSION', 'HOST'],
          ...facts.replicas.map(replica => [
            replica.replica,
            replica.alive ? 'alive' : 'gone',
            replica.up_seconds === null ? '-' : duration(replica.up_seconds),
            String(replica.lanes),
            replica.lease_left_seconds === null ? '-' : duration(replica.lease_left_seconds),
            replica.version ?? '-',
            replica.host ?? '-',
          ]),
        ]),
    facts.breakers.length === 0
      ? ''
      : align([
          ['BREAKER', 'STATE', 'SINCE', 'REPLICA', 'REASON'],
          ...facts.breakers.map(breaker => [
            breaker.breaker,
            breaker.state.replace('_', ' '),
            duration(breaker.since_seconds),
            breaker.replica,
            breaker.reason,
          ]),
        ]),
    facts.pauses.length === 0
      ? ''
      : align([
          ['PAUSED', 'NAME', 'SINCE', 'BY', 'REASON'],
          ...facts.pauses.map(pause => [
            pause.kind,
            pause.name,
            duration(pause.paused_for_seconds),
            pause.paused_by,
            pause.reason,
          ]),
        ]),
  ]
  return `${blocks.filter(Boolean).join('\n\n')}\n`
}

const NOT_KNOWN = 'not known: counting took longer than 2 s'

function summary(facts: StatusFacts): string[][] {
  const { waiting, retrying, dead_letters: dead, lanes, replicas, published_last_minute } = facts
  const alive = replicas.filter(replica => replica.alive).length
  return [
    ['waiting', waiting ? `${number(waiting)}${oldest(waiting)}` : NOT_KNOWN],
    ['retrying', retrying ? retryText(retrying) : NOT_KNOWN],
    ['dead letters', dead ? `${number(dead)}${reasons(dead)}` : NOT_KNOWN],
    [
      'published',
      published_last_minute ? `${number(published_last_minute)} in the last minute` : 'no history',
    ],
    ['lanes', `${lanes.owned} owned, ${lanes.free} free`],
    ['replicas', `${alive} alive`],
    ['breakers', facts.breakers.length === 0 ? 'all closed' : `${facts.breakers.length} open`],
    ['pauses', facts.pauses.length === 0 ? 'none' : pausedText(facts.pauses)],
  ]
}

function oldest({
  oldest_due_age_seconds: age,
  events,
}: NonNullable<StatusFacts['waiting']>): string {
  if (age !== null) return `, oldest due for ${duration(age)}`
  return events === 0 ? '' : ', none due yet'
}

function retryText(retrying: NonNullable<StatusFacts['retrying']>): string {
  if (retrying.events === 0) return '0'
  const next = retrying.next_try_in_seconds
  const when = next === null ? '' : next <= 0 ? ', next try now' : `, next try in ${duration(next)}`
  return `${number(retrying)} of ${retrying.keys.toLocaleString('en')} keys${when}`
}

function reasons(dead: NonNullable<StatusFacts['dead_letters']>): string {
  const all = dead.by_reason.map(({ reason, events }) => `${events.toLocaleString('en')} ${reason}`)
  return all.length === 0 ? '' : `: ${all.join(', ')}`
}

function pausedText(pauses: StatusFacts['pauses']): string {
  const lanes = pauses.filter(({ kind }) => kind === 'lane').length
  const topics = pauses.length - lanes
  const parts = [lanes > 0 && counted(lanes, 'lane'), topics > 0 && counted(topics, 'topic')]
  return parts.filter(Boolean).join(' and ')
}

function number({ events, capped }: Count): string {
  return `${events.toLocaleString('en')}${capped ? '+' : ''}`
}
