import type { CaseFile } from './case-file.ts'
import type { Delay, Delays } from './rules-of-turns.ts'

/** A place that is free while somebody waits is given within this time. */
export const GIVEN_WITHIN_MS = 1_000

export interface Spread {
  readonly times: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** How many exceed the time within which a place is given. */
  readonly late: number
}

export interface AdmissionCounts {
  readonly accepted: number
  readonly records: number
  readonly changes: number
  readonly rooms: number
  readonly turns: number
  readonly granted: number
  /** Sessions, by their last status. */
  readonly ended: Readonly<Record<string, number>>
  readonly capacityChanges: number
  readonly pauses: number
  /** From the first number given to the last grant. */
  readonly grantsPerSecond: number
  /** Of places that were free while somebody waited, how long until the next was let in: with no fault near. */
  readonly idle: Spread
  readonly idleInFaults: Spread
  /** Of leases that ran out, how long until the place was taken back. */
  readonly overdue: Spread
  readonly overdueInFaults: Spread
  readonly faults: Readonly<Record<string, number>>
  readonly replayed: number
  readonly drainMs: number | null
}

export function countsOf(file: CaseFile, { idle, overdue }: Delays): AdmissionCounts {
  const { history } = file
  const turns = [...file.turns.values()].flat()
  const grants = turns.filter(({ sessions }) => sessions.some(({ status }) => status === 'ACTIVE'))
  const granted = history.all('room').reduce((sum, room) => sum + room.granted, 0)
  const times = grants.map(({ committedMs }) => committedMs)
  const lasted = times.length < 2 ? 0 : most(times, Math.max) - most(times, Math.min)
  const [rested] = history.all('rested')
  return {
    accepted: new Set(history.all('accepted').map(({ sessionId }) => sessionId)).size,
    records: history.all('join_record').length,
    changes: history.all('change_record').length,
    rooms: file.turns.size,
    turns: turns.length,
    granted,
    ended: tally([...file.sessions.values()].map(({ status }) => status)),
    ...operationsOf(file),
    grantsPerSecond: lasted === 0 ? 0 : (granted * 1_000) / lasted,
    idle: spreadOf(idle, false),
    idleInFaults: spreadOf(idle, true),
    overdue: spreadOf(overdue, false),
    overdueInFaults: spreadOf(overdue, true),
    faults: tally(history.all('fault_started').map(({ fault }) => fault)),
    replayed: history.all('replayed').reduce((sum, { records }) => sum + records, 0),
    drainMs: rested?.drained ? rested.drainMs : null,
  }
}

function operationsOf(file: CaseFile): { capacityChanges: number; pauses: number } {
  let capacityChanges = 0
  let pauses = 0
  for (const turns of file.turns.values()) {
    const rooms = turns.flatMap(({ room }) => room ?? [])
    for (const [index, room] of rooms.entries()) {
      const before = rooms[index - 1]
      if (before && before.capacity !== room.capacity) capacityChanges++
      if (before && !before.paused && room.paused) pauses++
    }
  }
  return { capacityChanges, pauses }
}

function spreadOf(delays: readonly Delay[], inFaults: boolean): Spread {
  const chosen = delays.filter(({ disturbed }) => disturbed === inFaults)
  const sorted = chosen.map(({ forMs }) => forMs).sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)
  const late = sorted.filter(forMs => forMs > GIVEN_WITHIN_MS).length
  return { times: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), late }
}

/** `Math.max(...times)` of a hundred thousand values overflows the stack. */
function most(times: readonly number[], of: (a: number, b: number) => number): number {
  return times.reduce((a, b) => of(a, b))
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
