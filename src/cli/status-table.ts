import type { Count, StatusFacts } from './status-facts.ts'

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

function number({ events, capped }: Count): string {
  return `${events.toLocaleString('en')}${capped ? '+' : ''}`
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const

/** `3.2 s`, `4 min 10 s`, `2 d 3 h`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(1)} s`
  const at = UNITS.findIndex(([, size]) => seconds >= size)
  const [unit, size] = UNITS[at] ?? UNITS[2]
  const [lesser, lesserSize] = UNITS[at + 1] ?? (['s', 1] as const)
  const rest = Math.floor((seconds % size) / lesserSize)
  return `${Math.floor(seconds / size)} ${unit}${rest === 0 ? '' : ` ${rest} ${lesser}`}`
}

/** Pads every column but the last, and keeps control characters of the database away from the terminal. */
function align(rows: readonly (readonly string[])[]): string {
  const safe = rows.map(row => row.map(cell => cell.replace(/\p{Cc}/gu, ' ')))
  const widths = (safe[0] ?? []).map((_, column) =>
    Math.max(...safe.map(row => row[column]?.length ?? 0)),
  )
  return safe
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
