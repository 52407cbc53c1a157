import type { ListedMutant } from './mutant-list.ts'

const READ = 'src/outbox/read-events.ts'
const TABLE = 'src/outbox/event-table.ts'
const REFUSE = 'src/outbox/refuse-events.ts'
const LEASES = 'src/outbox/lane-leases.ts'
const LANES = 'src/outbox/lane-table.ts'

/** What is read, under which right, and how it is settled. */
export const mutantsOfOutbox: readonly ListedMutant[] = [
  {
    name: 'payloads are parsed and written anew',
    scenario: 'calm',
    file: READ,
    find: '              e.payload::text as payload',
    replace: '              e.payload::jsonb::text as payload',
  },
  {
    name: 'a delivery delay is ignored',
    scenario: 'calm',
    file: READ,
    find: 'and e.attempts = 0\n              and (e.not_before is null or e.not_before <= now())',
    replace: 'and e.attempts = 0',
  },
  {
    name: 'the newest events of a lane are read first',
    scenario: 'calm',
    file: READ,
    find: 'order by e.id\n            limit',
    replace: 'order by e.id desc\n            limit',
  },
  {
    name: 'a retry does not hold its key',
    scenario: 'refusals',
    file: READ,
    find: 'and not (\n                (select by_retry from holding)',
    replace: 'and not (\n                false',
  },
  {
    name: 'what a transaction wrote before others have committed is passed over',
    scenario: 'calm',
    file: 'src/outbox/low-water.ts',
    find: 'return [...writers].every(id => !seen.open.has(id))',
    replace: 'return writers.size >= 0',
  },
  {
    name: 'a key is spread over lanes',
    scenario: 'calm',
    file: 'migrations/outbox/0001_outbox.sql',
    find: 'ELSE hashtextextended(key, 0) & 63 END',
    replace: 'ELSE id & 63 END',
  },
  {
    name: 'a confirm takes the whole lane',
    scenario: 'calm_deleting',
    file: TABLE,
    find: 'where e.lane = d.lane and e.id = d.id and d.lane in (select lane from held)\n        returning 1',
    replace: 'where e.lane = d.lane and d.lane in (select lane from held)\n        returning 1',
  },
  {
    name: 'a confirm forgets to delete',
    scenario: 'calm_deleting',
    file: TABLE,
    find: 'where e.lane = d.lane and e.id = d.id and d.lane in (select lane from held)\n        returning 1',
    replace:
      'where e.lane = d.lane and e.id = d.id and d.lane in (select lane from held where lane > 0)\n        returning 1',
  },
  {
    name: 'a dead letter is removed and not kept',
    scenario: 'calm',
    file: REFUSE,
    find: 'from died\n      returning id',
    replace: "from died where reason = 'expired'\n      returning id",
  },
  {
    name: 'a dead letter is kept and not removed',
    scenario: 'calm',
    file: REFUSE,
    find: 'delete from outbox.events e\n      using fault f\n      where e.lane = f.lane and e.id = f.id and e.attempts = f.attempts and f.dead\n      returning e.*, f.reason, f.error, f.entry, f.blocks_key',
    replace:
      'select e.*, f.reason, f.error, f.entry, f.blocks_key\n      from outbox.events e, fault f\n      where e.lane = f.lane and e.id = f.id and f.dead',
  },
  {
    name: 'a retry is due a thousand times too late',
    scenario: 'refusals',
    file: REFUSE,
    find: "f.retry_delay_ms * interval '1 ms'",
    replace: "f.retry_delay_ms * interval '1 s'",
  },
  {
    name: 'several slots share the lanes',
    scenario: 'calm',
    file: LEASES,
    find: 'return [...this.#held.values()].filter(lane => !lane.reserved)',
    replace: 'return [...this.#held.values()]',
  },
  {
    name: 'lanes are never let go after a reservation',
    scenario: 'calm',
    file: LEASES,
    find: 'if (held?.epoch === epoch) held.reserved = false',
    replace: 'if (held?.epoch === epoch) held.reserved = true',
  },
  {
    name: 'the fair share is rounded down',
    scenario: 'calm',
    file: LEASES,
    find: 'Math.ceil(LANES / Math.max(1, live))',
    replace: 'Math.floor(LANES / Math.max(1, live))',
  },
  {
    name: 'lanes are kept at a stop',
    scenario: 'calm',
    file: LEASES,
    find: "await this.#giveUp([...this.#held.values()], 'stopping')",
    replace: 'this.#held.clear()',
  },
  {
    name: 'lanes in use are handed over',
    scenario: 'stops',
    file: LEASES,
    find: 'this.#giveUp(this.#idleLanes().slice(0, -wanted)',
    replace: 'this.#giveUp([...this.#held.values()].slice(0, -wanted)',
  },
  {
    name: 'a takeover does not raise the epoch',
    scenario: 'stops',
    file: LANES,
    find: 'epoch = l.epoch + 1',
    replace: 'epoch = l.epoch',
  },
  {
    name: 'the lanes of the dead are not taken over',
    scenario: 'replicas',
    file: LANES,
    find: 'select lane from outbox.lanes\n          where owner is null or (leased_until < clock_timestamp()',
    replace:
      'select lane from outbox.lanes\n          where owner is null or (leased_until is null',
  },
  {
    name: 'lanes whose leasing was answered to nobody are never worked',
    scenario: 'database',
    file: LEASES,
    find: 'else this.#held.set(lane, {',
    replace: "else if (epoch === '') this.#held.set(lane, {",
  },
]
