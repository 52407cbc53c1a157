import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../src/internal/package-root.ts'
import { type CampaignVerdict, check } from '../chaos/campaign/checker.ts'
import type { Committed, Happening, KafkaRecord } from '../chaos/campaign/history.ts'
import { mutants } from '../chaos/campaign/mutant-list.ts'

const START_MS = 1_800_000_000_000
/** Where kafkajs puts the key `k` on three partitions. */
const PARTITION = 2

const campaign: Happening = {
  kind: 'campaign',
  atMs: START_MS,
  seed: 1,
  commit: 'abc',
  minutes: 1,
  brokers: 1,
  replicas: 3,
  leaseMs: 3_000,
  retention: false,
  partitions: { orders: 3, doomed: 1 },
  limits: { takeoverBeyondLeaseMs: 500, recoveryMs: 2_000, stopMs: 8_500 },
}
const quiet: Happening = { kind: 'quiet', atMs: START_MS + 60_000, drained: true, drainMs: 100 }

function committed(seq: number, more: Partial<Committed> = {}): Committed {
  return {
    kind: 'committed',
    eventId: `e${seq}`,
    id: String(seq),
    topic: 'orders',
    key: 'k',
    seq,
    content: `c${seq}`,
    notBeforeMs: null,
    fate: 'published',
    reason: null,
    excused: false,
    mayFail: false,
    ...more,
  }
}

function record(seq: number, offset: number, more: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    kind: 'record',
    topic: 'orders',
    partition: PARTITION,
    offset: String(offset),
    key: 'k',
    eventId: `e${seq}`,
    id: String(seq),
    content: `c${seq}`,
    timestampMs: START_MS + 1_000 * offset,
    ...more,
  }
}

const fault = (
  id: number,
  [fromSeconds, toSeconds]: [number, number],
  name = 'replica_killed',
  target = 'r1',
): Happening[] => [
  { kind: 'fault_started', atMs: START_MS + 1_000 * fromSeconds, id, fault: name, target },
  { kind: 'fault_healed', atMs: START_MS + 1_000 * toSeconds, id, fault: name },
]

const three = [committed(1), committed(2), committed(3)]
const delivered = [record(1, 0), record(2, 1), record(3, 2)]

/** The rules that a history breaks, with how often, such as `lost 2`. */
async function broken(...happenings: Happening[]): Promise<string[]> {
  return rulesOf(await check([campaign, ...happenings]))
}

function rulesOf({ passed, violations }: CampaignVerdict): string[] {
  assert.equal(passed, violations.length === 0)
  return violations.map(({ rule, count }) => `${rule} ${count}`)
}

test('a clean history passes', async () => {
  const verdict = await check([campaign, quiet, ...three, ...delivered])
  assert.deepEqual(rulesOf(verdict), [])
  assert.equal(verdict.events.published, 3)
})

test('a committed event that is nowhere is lost', async () => {
  const rest = [record(1, 0), record(3, 1)]
  assert.deepEqual(await broken(quiet, ...three, ...rest), ['lost 1'])
})

test('a record of an event that never committed is a phantom, and so is one without an id', async () => {
  const strangers = [record(4, 3), record(1, 4, { eventId: null })]
  assert.deepEqual(await broken(quiet, ...three, ...delivered, ...strangers), ['phantom 2'])
})

test('a record with another content, key, id or topic is mutated', async () => {
  const spoilt: Partial<KafkaRecord>[] = [
    { content: 'other' },
    { id: '99' },
    { topic: 'doomed', partition: 0 },
    { key: null },
  ]
  for (const more of spoilt) {
    const records = [record(1, 0), record(2, 1, more), record(3, 2)]
    assert.deepEqual(await broken(quiet, ...three, ...records), ['mutated 1'], JSON.stringify(more))
  }
})

test('a null key is not the empty key', async () => {
  const [known] = [committed(1, { key: null, seq: null })]
  assert.ok((await broken(quiet, known!, record(1, 0, { key: '' }))).includes('mutated 1'))
  assert.deepEqual(await broken(quiet, known!, record(1, 0, { key: null })), [])
})

test('a first delivery after a later one of its key is out of order; another key or no order is not', async () => {
  const swapped = [record(2, 0), record(1, 1), record(3, 2)]
  assert.deepEqual(await broken(quiet, ...three, ...swapped), ['out_of_order 1'])
  const unordered = three.map(event => ({ ...event, seq: null }))
  assert.deepEqual(await broken(quiet, ...unordered, ...swapped), [])
})

test('a duplicate of an earlier event breaks no order', async () => {
  const again = [...delivered, record(1, 3)]
  const frozen = fault(1, [0, 4], 'kafka_late')
  assert.deepEqual(await broken(...frozen, quiet, ...three, ...again), [])
})

test('a key on a partition that is not its own is out of place', async () => {
  const beside = [record(1, 0), record(2, 0, { partition: 0 }), record(3, 2)]
  assert.deepEqual(await broken(quiet, ...three, ...beside), ['wrong_partition 1'])
})

test('a record before its time is early', async () => {
  const delayed = committed(1, { seq: null, notBeforeMs: START_MS + 5_000 })
  assert.deepEqual(await broken(quiet, delayed, record(1, 4)), ['early 1'])
  assert.deepEqual(await broken(quiet, delayed, record(1, 5)), [])
})

test('a duplicate without a fault is called out', async () => {
  const again = [...delivered, record(2, 3)]
  assert.deepEqual(await broken(quiet, ...three, ...again), ['duplicate_without_fault 1'])
})

test('a fault explains duplicates around it, no others', async () => {
  const again = [...delivered, record(2, 30)]
  const near = fault(1, [20, 21], 'kafka_late')
  const verdict = await check([campaign, ...near, quiet, ...three, ...again])
  assert.deepEqual(rulesOf(verdict), [])
  assert.equal(verdict.byFault.kafka_late?.duplicates, 1)
  const later = fault(1, [31, 32], 'kafka_late')
  assert.deepEqual(await broken(...later, quiet, ...three, ...again), ['duplicate_without_fault 1'])
  const before = fault(1, [0, 0.1], 'kafka_late')
  const late = [...delivered, record(2, 41), record(2, 42)]
  assert.deepEqual(
    await broken(
      ...before,
      quiet,
      ...three.slice(0, 2),
      record(1, 0),
      record(2, 40),
      ...late.slice(3),
    ),
    ['duplicate_without_fault 2'],
  )
})

test('a stop in good order explains no duplicate', async () => {
  const stop = fault(1, [0, 4], 'replica_stopped')
  const again = [...delivered, record(2, 3)]
  assert.deepEqual(await broken(...stop, quiet, ...three, ...again), ['duplicate_without_fault 1'])
})

test('a dead letter must be due, for the reason that was expected', async () => {
  const dead = (eventId: string, reason: string): Happening => {
    return { kind: 'dead', eventId, reason, attempts: 1 }
  }
  const bad = committed(1, { fate: 'dead', reason: 'expired' })
  assert.deepEqual(await broken(quiet, bad, dead('e1', 'expired')), [])
  assert.deepEqual(await broken(quiet, bad, dead('e1', 'timeout')), ['wrong_dead_letter 1'])
  assert.deepEqual(await broken(quiet, committed(1), dead('e1', 'expired')), [
    'wrong_dead_letter 1',
  ])
  assert.deepEqual(await broken(quiet, bad, record(1, 0)), ['published_and_dead 1'])
  assert.deepEqual(await broken(quiet, bad), ['lost 1'])
  const either = committed(1, { fate: 'either', reason: 'message_too_large' })
  assert.deepEqual(await broken(quiet, either, record(1, 0)), [])
  assert.deepEqual(await broken(quiet, either, dead('e1', 'message_too_large')), [])
})

test('what still waits at the end is stuck', async () => {
  const waits: Happening = { kind: 'waiting', eventId: 'e3', attempts: 0, lastError: null }
  const rest = delivered.slice(0, 2)
  assert.deepEqual(await broken(quiet, ...three, waits, ...rest), ['stuck 1'])
  assert.deepEqual(await broken({ ...quiet, drained: false }), ['not_drained 1'])
})

test('an attempt that an event spent through no fault of its own is called out', async () => {
  const waits: Happening = { kind: 'waiting', eventId: 'e1', attempts: 2, lastError: null }
  assert.deepEqual(await broken(quiet, committed(1), waits), ['stuck 1', 'attempt_spent 1'])
})

test('a confirm must name the place where Kafka has the event', async () => {
  const kept: Happening = { ...campaign, retention: true } as Happening
  const confirmed = (offset: string): Happening => {
    return { kind: 'confirmed', eventId: 'e1', partition: PARTITION, offset, attempts: 0 }
  }
  const judge = async (...happenings: Happening[]) => {
    return rulesOf(await check([kept, quiet, committed(1), ...happenings]))
  }
  assert.deepEqual(await judge(confirmed('7'), record(1, 7)), [])
  assert.deepEqual(await judge(confirmed('7'), record(1, 8)), ['false_confirm 1'])
  assert.deepEqual(await judge(confirmed('7')), ['lost 1', 'false_confirm 1'])
  assert.deepEqual(await judge(confirmed('7'), confirmed('7'), record(1, 7)), ['false_confirm 1'])
  assert.deepEqual(await judge(record(1, 7)), ['false_confirm 1'])
})

test('events of a deleted topic may be gone, but not from the outbox unconfirmed', async () => {
  const kept: Happening = { ...campaign, retention: true } as Happening
  const gone = committed(1, { topic: 'doomed', excused: true })
  const confirmed: Happening = {
    kind: 'confirmed',
    eventId: 'e1',
    partition: 0,
    offset: '0',
    attempts: 0,
  }
  assert.deepEqual(rulesOf(await check([kept, quiet, gone, confirmed])), [])
  assert.deepEqual(rulesOf(await check([kept, quiet, gone])), ['lost 1'])
})

test('a lane that is owned after everybody has ended is left behind', async () => {
  assert.deepEqual(await broken(quiet, { kind: 'lane_left', lane: 3, owner: 'r1' }), [
    'lane_left 1',
  ])
})

test("a killed replica's lanes must be taken over within lease and limit, unless something else disturbed", async () => {
  const [kill, heal] = fault(1, [10, 12]) as [Happening, Happening]
  const at = (seconds: number) => owned({ r2: 64 }, seconds)
  assert.deepEqual(await broken(owned({ r1: 64 }, 1), kill, at(13.4), heal, quiet), [])
  assert.deepEqual(await broken(owned({ r1: 64 }, 1), kill, at(13.6), heal, quiet), [
    'slow_takeover 1',
  ])
  const [disturbs, ends] = fault(2, [11, 15], 'postgres_frozen') as [Happening, Happening]
  assert.deepEqual(await broken(kill, disturbs, at(13.6), heal, ends, quiet), [])
  assert.deepEqual(await broken(kill, owned({ r1: 64 }, 11), heal, quiet), ['slow_takeover 1'])
})

test('after an outage publishing must begin again within the limit', async () => {
  const outage = fault(1, [10, 15], 'broker_killed')
  const at = (seconds: number) => record(1, 0, { timestampMs: START_MS + 1_000 * seconds })
  assert.deepEqual(await broken(...outage, quiet, committed(1), at(16.9)), [])
  assert.deepEqual(await broken(...outage, quiet, committed(1), at(17.1)), ['slow_recovery 1'])
})

test('a replica that ends unasked, in a bad way or late is called out', async () => {
  const exit = (asked: string | null, how: number | string, tookMs: number): Happening => {
    const askedAtMs = asked === null ? null : START_MS
    return { kind: 'replica_exited', atMs: START_MS + tookMs, replica: 'r1', asked, askedAtMs, how }
  }
  assert.deepEqual(await broken(exit('SIGTERM', 0, 800), exit('SIGKILL', 'SIGKILL', 5), quiet), [])
  assert.deepEqual(await broken(exit(null, 1, 0), quiet), ['bad_exit 1'])
  assert.deepEqual(await broken(exit('SIGTERM', 1, 10), quiet), ['bad_exit 1'])
  assert.deepEqual(await broken(exit('SIGTERM', 0, 9_000), quiet), ['slow_stop 1'])
})

test('a history that never became quiet is incomplete', async () => {
  assert.deepEqual(await broken(...three, ...delivered), ['incomplete 1'])
})

test('a lane that changes its owner without a higher epoch is called out', async () => {
  const owns = (owner: string | null, epoch: string): Happening => {
    return { kind: 'lane_owners', atMs: START_MS, owners: {}, changed: [[3, owner, epoch]] }
  }
  assert.deepEqual(await broken(owns('a', '1'), owns(null, '1'), owns('b', '2'), quiet), [])
  assert.deepEqual(await broken(owns('a', '1'), owns('b', '1'), quiet), ['epoch_not_raised 1'])
  assert.deepEqual(await broken(owns('a', '1'), owns(null, '1'), owns('a', '1'), quiet), [
    'epoch_not_raised 1',
  ])
})

test("each mutant's text stands exactly once in its file", async () => {
  const stale: string[] = []
  for (const { name, file, find } of mutants) {
    const times = (await readFile(join(packageRoot(), file), 'utf8')).split(find).length - 1
    if (times !== 1) stale.push(`${name}: ${times} times in ${file}`)
  }
  assert.deepEqual(stale, [])
})

function owned(owners: Record<string, number>, seconds = 5): Happening {
  return { kind: 'lane_owners', atMs: START_MS + 1_000 * seconds, owners, changed: [] }
}
