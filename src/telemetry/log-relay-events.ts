import type { RelayEvent, RelayListener } from '../events.ts'
import type { Log } from './log.ts'
import { Outages } from './outages.ts'

type EventOf<K extends RelayEvent['kind']> = Extract<RelayEvent, { kind: K }>

/**
 * Turns the relay's events into log lines: state changes at info, what needs eyes at warn, single events only
 * at debug. An outage is told at its start, at its end and once a minute.
 *
 * @param clock monotonic milliseconds
 */
export function logRelayEvents(log: Log, clock?: () => number): RelayListener {
  const outages = new Outages(clock)
  return event => {
    switch (event.kind) {
      case 'lanes_leased':
        return log.info(factsOf(event), 'lanes leased')
      case 'lanes_given_up':
        return event.reason === 'lost'
          ? log.warn(factsOf(event), 'lanes lost')
          : log.info(factsOf(event), 'lanes given up')
      case 'reserved':
        return logReserved(log, outages, event)
      case 'reserve_failed':
        return logFailure(log, outages.fail('reserve'), event, 'reserving fails')
      case 'published':
        return logPublished(log, outages, event)
      case 'batch_published':
        return log.debug(factsOf(event), 'batch published')
      case 'publish_failed':
        return logFailure(log, outages.fail(`topic:${event.topic}`), event, 'publishing fails')
      case 'confirmed':
        return logConfirmed(log, outages, event)
      case 'confirm_failed':
        return logFailure(log, outages.fail('confirm'), event, 'confirming fails')
      case 'retry_scheduled':
        return log.debug(factsOf(event), 'event waits for a retry')
      case 'dead_lettered':
        return log.warn(factsOf(event), 'event became a dead letter')
      case 'below_low_water':
        return log.error(factsOf(event), 'rows found below the low-water mark; please report it')
      case 'breaker_changed':
        return logBreaker(log, outages, event)
    }
  }
}

function logReserved(log: Log, outages: Outages, event: EventOf<'reserved'>): void {
  const ended = outages.end('reserve')
  if (ended) log.info(ended, 'reserving works again')
  if (event.events > 0) log.debug(factsOf(event), 'events reserved')
}

function logPublished(log: Log, outages: Outages, event: EventOf<'published'>): void {
  const { topic, acked, rejected, unknown, bytes } = event
  const ended = acked > 0 ? outages.end(`topic:${topic}`) : null
  if (ended) log.info({ topic, ...ended }, 'publishing works again')
  log.debug({ topic, acked, rejected, unknown, bytes }, 'events published')
}

function logConfirmed(log: Log, outages: Outages, event: EventOf<'confirmed'>): void {
  const ended = outages.end('confirm')
  if (ended) log.info(ended, 'confirming works again')
  if (event.fenced > 0) log.warn(factsOf(event), 'confirm refused for events of lost lanes')
  else log.debug(factsOf(event), 'events confirmed')
}

/** A probe that fails opens the breaker again: that is still the same outage. */
function logBreaker(log: Log, outages: Outages, event: EventOf<'breaker_changed'>): void {
  const name = `breaker:${event.breaker}`
  const facts = factsOf(event)
  if (event.state === 'half_open') {
    log.debug(facts, 'breaker half open')
  } else if (event.state === 'open') {
    const outage = outages.fail(name)
    if (outage) log.warn({ ...facts, ...outage }, 'breaker open')
  } else {
    log.info({ ...facts, ...outages.end(name) }, 'breaker closed')
  }
}

/** Our own credentials and settings do not heal by themselves: that is an error, the rest a warning. */
function logFailure(
  log: Log,
  outage: object | null,
  event: EventOf<'reserve_failed' | 'publish_failed' | 'confirm_failed'>,
  message: string,
): void {
  if (outage === null) return
  const facts = { ...factsOf(event), ...outage }
  if (event.kind === 'publish_failed' && event.fault === 'producer') log.error(facts, message)
  else log.warn(facts, message)
}

function factsOf(event: RelayEvent): object {
  const { kind: _, ...facts } = event
  return 'lanes' in facts ? { ...facts, lanes: rangesOf(facts.lanes) } : facts
}

/** Numbers as `0-3,7`: a line with all 64 lanes would hide what it says. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.to === number - 1) last.to = number
    else ranges.push({ from: number, to: number })
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}
