import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPubsub } from '../chaos/pubsub/checker.ts'
import {
  type Asked,
  type Ended,
  type HappeningOf,
  type PubsubHappening,
  PubsubHistory,
} from '../chaos/pubsub/history.ts'

const START_MS = 1_800_000_000_000
const SHARED = 'requester-shared-0-0'
const INSTANCE = 'requester-instance-1-1'
const TIMEOUT_MS = 5_000

/** Of one party, `atMs` after the start. */
function asked(n: number, more: Partial<Asked> = {}): PubsubHappening {
  const of = { party: SHARED, id: `id${n}`, payload: `p${n}` }
  const atMs = START_MS + 1_000 * n
  return { kind: 'asked', atMs, ...of, first: false, phase: 'faults', ...more }
}

function ended(n: number, more: Partial<Ended> = {}): PubsubHappening {
  const atMs = START_MS + 1_000 * n + 20
  const end = { how: 'reply', echo: `p${n}`, error: null } as const
  return { kind: 'ended', atMs, party: SHARED, id: `id${n}`, ...end, ...more }
}

const timedOut = (n: number, more: Partial<Ended> = {}) =>
  ended(n, { atMs: START_MS + 1_000 * n + TIMEOUT_MS, how: 'timeout', echo: null, ...more })

function request(n: number, more: Partial<HappeningOf<'request'>> = {}): PubsubHappening {
  const of = { id: `id${n}`, correlationId: `c${n}`, replyPartition: 2 }
  return { kind: 'request', ...of, timestampMs: START_MS + 1_000 * n + 5, ...more }
}

function reply(n: number, more: Partial<HappeningOf<'reply'>> = {}): PubsubHappening {
  const of = { correlationId: `c${n}`, partition: 2, echo: `p${n}` }
  return { kind: 'reply', ...of, timestampMs: START_MS + 1_000 * n + 10, ...more }
}

/** A request that was answered. */
const answered = (n: number, more: Partial<Asked> = {}) => [
  asked(n, more),
  request(n),
  reply(n),
  ended(n, more.party === undefined ? {} : { party: more.party }),
]

const exited = (signal: string | null, how: number | string, party = SHARED): PubsubHappening => {
  return {
    kind: 'party_exited',
    atMs: START_MS + 90_000,
    party,
    role: 'requester',
    asked: signal,
    how,
  }
}
const connected = (party: string, atMs = START_MS): PubsubHappening[] => [
  { kind: 'connecting', atMs: atMs - 100, party, role: 'requester' },
  { kind: 'connected', atMs, party, role: 'requester' },
]

const held = (atMs: number, ...partitions: number[]): PubsubHappening => {
  return { kind: 'held', atMs: START_MS + atMs, party: SHARED, partitions }
}

/** In the sixtieth second, for a second. */
const fault = (name: string, target: string): PubsubHappening[] => [
  { kind: 'fault_started', atMs: START_MS + 60_000, id: 1, fault: name, target },
  { kind: 'fault_healed', atMs: START_MS + 61_000, id: 1, fault: name },
]

const SOUND: readonly PubsubHappening[] = [
  { kind: 'campaign', atMs: START_MS, seed: 1, commit: 'abc', minutes: 1, timeoutMs: TIMEOUT_MS },
  ...connected(SHARED),
  held(0, 1, 2),
  ...answered(1, { first: true }),
  ...answered(2),
  ...answered(3, { party: INSTANCE }),
  ...answered(80, { phase: 'final' }),
  { kind: 'rested', atMs: START_MS + 79_000, party: SHARED, answered: true },
  { kind: 'left', atMs: START_MS + 89_000, party: SHARED, role: 'requester' },
  { kind: 'counted', atMs: START_MS + 89_000, party: SHARED, open: 0, unmatched: 0 },
  exited('SIGTERM', 0),
  { kind: 'last_offset', partition: 0, committed: 4, end: 4 },
]

function rulesOf(happenings: readonly PubsubHappening[]): string[] {
  return checkPubsub(new PubsubHistory(happenings)).violations.map(({ rule }) => rule)
}

const without = (kind: PubsubHappening['kind'], n?: number) =>
  SOUND.filter(each => {
    const ids = [`id${n}`, `c${n}`]
    const own = 'id' in each ? each.id : 'correlationId' in each ? each.correlationId : undefined
    return each.kind !== kind || (n !== undefined && !ids.includes(String(own)))
  })

test('a sound history has nothing against it', () => {
  assert.deepEqual(rulesOf(SOUND), [])
})

const BROKEN: Readonly<Record<string, readonly PubsubHappening[]>> = {
  not_ended: without('ended', 2),
  ended_twice: [...SOUND, ended(2)],
  ended_otherwise: [...without('ended', 2), ended(2, { how: 'other', echo: null, error: 'boom' })],
  ended_late: [...without('ended', 2), ended(2, { atMs: START_MS + 2_000 + 9_000 })],
  foreign_reply: [...without('ended', 2), ended(2, { echo: 'p1' })],
  phantom_reply: without('reply', 2),
  misplaced_reply: [...SOUND, reply(2, { partition: 3 })],
  reply_not_delivered: [...without('ended', 2), timedOut(2)],
  loss_not_told: [...without('ended', 2), timedOut(2), held(2_500, 0, 1)],
  lost_for_nothing: [
    ...without('ended', 3),
    ended(3, { party: INSTANCE, how: 'lost', echo: null }),
  ],
  first_unanswered: [...without('ended', 1), ended(1, { how: 'lost', echo: null })],
  unanswered_in_peace: [...without('ended', 2), ended(2, { how: 'lost', echo: null })],
  unanswered_at_rest: [...without('ended', 80), timedOut(80)],
  not_healed: [
    ...SOUND,
    { kind: 'rested', atMs: START_MS + 79_000, party: INSTANCE, answered: false },
  ],
  request_dropped: without('reply', 2),
  not_committed: [...SOUND, { kind: 'last_offset', partition: 1, committed: 4, end: 5 }],
  left_open: [
    ...SOUND,
    { kind: 'counted', atMs: START_MS, party: INSTANCE, open: 1, unmatched: 0 },
  ],
  bad_exit: [...SOUND, exited(null, 1)],
  hung_stop: [...SOUND, exited('SIGTERM', 'SIGKILL')],
  not_watched: without('rested'),
}

for (const [rule, happenings] of Object.entries(BROKEN)) {
  test(`a history is called out for: ${rule}`, () => {
    const rules = rulesOf(happenings)
    assert.ok(rules.includes(rule), rules.join(', ') || 'nothing was found')
  })
}

/** The sixtieth request, in the middle of the fault. */
const struck = (...ends: PubsubHappening[]) => [
  ...SOUND,
  asked(60),
  request(60),
  reply(60),
  ...ends,
]

test('a fault excuses what it did, and nothing that it could not do', () => {
  const late = struck(timedOut(60))
  assert.deepEqual(rulesOf([...late, ...fault('broker_killed', 'broker 1')]), [])
  assert.deepEqual(rulesOf([...late, ...fault('requester_frozen', SHARED)]), [])
  const ofAnother = [...late, ...fault('requester_killed', 'requester-shared-9-9')]
  assert.deepEqual(rulesOf(ofAnother), ['reply_not_delivered'])
  const lost = struck(ended(60, { how: 'lost', echo: null }))
  assert.deepEqual(rulesOf([...lost, ...fault('requester_killed', 'requester-shared-9-9')]), [])
  assert.deepEqual(rulesOf(lost), ['unanswered_in_peace'])
})

test('a reply need not be delivered by who does not read its partition, for a while', () => {
  const away = [...struck(timedOut(60)), ...fault('requester_killed', 'requester-shared-9-9')]
  assert.deepEqual(rulesOf([...away, held(60_005), held(62_000, 0, 1, 2)]), [])
  assert.deepEqual(rulesOf([...away, held(50_000), held(59_000, 2)]), ['reply_not_delivered'])
})

test('who comes or goes excuses a lost partition, and not a reply that was not delivered', () => {
  const joins = connected('requester-shared-9-9', START_MS + 60_050)
  assert.deepEqual(rulesOf([...struck(ended(60, { how: 'lost', echo: null })), ...joins]), [])
  assert.deepEqual(rulesOf([...struck(timedOut(60)), ...joins]), ['reply_not_delivered'])
})

test('a request that dies with its process has no end, and one that is open when its party leaves is closed', () => {
  const dead = [...without('ended', 2), exited('SIGKILL', 'SIGKILL')]
  assert.deepEqual(rulesOf(dead), ['not_ended'], 'its time was over before')
  const atOnce = dead.map(each => {
    return each.kind === 'party_exited' ? { ...each, atMs: START_MS + 4_000 } : each
  })
  assert.ok(!rulesOf(atOnce).includes('not_ended'))
  const closed = struck(ended(60, { how: 'closed', echo: null, error: 'closed' }))
  assert.deepEqual(rulesOf(closed), [])
  const before = closed.filter(({ kind }) => kind !== 'left')
  assert.deepEqual(rulesOf(before), ['ended_otherwise'])
})

test('a reply that came too late for its request is nobody’s fault', () => {
  const late = [...SOUND, asked(60), request(60), timedOut(60)]
  const slow = reply(60, { timestampMs: START_MS + 60_000 + TIMEOUT_MS - 100 })
  assert.deepEqual(rulesOf([...late, slow, ...fault('worker_killed', 'worker-0-0')]), [])
})
