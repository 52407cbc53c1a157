import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../src/internal/package-root.ts'
import { checkConsumers } from '../chaos/consumer/checker.ts'
import {
  type ConsumerHappening,
  ConsumerHistory,
  type HappeningOf,
} from '../chaos/consumer/history.ts'
import { consumerMutants } from '../chaos/consumer/mutant-list.ts'
import { SHORT_WAITS } from '../chaos/consumer/short-waits.ts'

const START_MS = 1_800_000_000_000
const GROUP = 'a'
const PLACE = { topic: 't', partition: 0 }

function record(n: number, more: Partial<HappeningOf<'record'>> = {}): ConsumerHappening {
  return {
    kind: 'record',
    ...PLACE,
    offset: n,
    key: 'k',
    messageId: `m${n}`,
    bad: false,
    ordered: true,
    delayUntilMs: null,
    expiresAtMs: null,
    timestampMs: START_MS,
    valueSha256: `v${n}`,
    headers: `h${n}`,
    ...more,
  }
}

interface RunFacts {
  readonly atMs?: number
  readonly attempt?: number
  readonly decision?: HappeningOf<'run_ended'>['decision']
  readonly againAtMs?: number
}

/** A run of message `n` that has begun and ended. */
function run(n: number, name: string, facts: RunFacts = {}): ConsumerHappening[] {
  const { atMs = START_MS + 100 * n, attempt = 1, decision = 'done', againAtMs = null } = facts
  const of = { group: GROUP, run: name, messageId: `m${n}`, ...PLACE, offset: String(n) }
  return [
    { kind: 'run', atMs, ...of, attempt },
    { kind: 'run_ended', atMs: atMs + 1, run: name, decision, againAtMs },
  ]
}

function effect(n: number, name: string, seq = n): ConsumerHappening[] {
  const of = { group: GROUP, messageId: `m${n}` }
  const startedAtMs = START_MS + 100 * n
  return [
    { kind: 'effect', seq, ...of, topic: 't', run: name, attempt: 1, startedAtMs },
    { kind: 'published', ...of },
  ]
}

const inbox = (...ids: string[]): ConsumerHappening => {
  return { kind: 'inbox', group: GROUP, messageIds: ids }
}
const offset = (committed: number, unclaimed: string[] = []): ConsumerHappening => {
  return { kind: 'offset', atMs: START_MS, group: GROUP, ...PLACE, committed, unclaimed }
}
const told = (what: string): ConsumerHappening => {
  return { kind: 'told', atMs: START_MS, group: GROUP, member: 'a-0', what, count: 1 }
}
const exited = (asked: string | null, how: number | string): ConsumerHappening => {
  return { kind: 'member_exited', atMs: START_MS, member: 'a-0', asked, askedAtMs: null, how }
}
const dead = (n: number, attempts = 0): ConsumerHappening => {
  const of = { group: GROUP, topic: 't', messageId: `m${n}` }
  return { kind: 'task', ...of, state: 'dead', attempts, valueSha256: `v${n}` }
}
const letter = (n: number, more: Partial<HappeningOf<'dead_letter'>> = {}): ConsumerHappening => {
  const of = { messageId: `m${n}`, origin: `t/0/${n}` }
  return { kind: 'dead_letter', ...of, valueSha256: `v${n}`, headers: `h${n}`, ...more }
}

/** Messages 1 to 3 of one key; the second fails once, the third is a dead letter. */
const SOUND: readonly ConsumerHappening[] = [
  {
    ...{ kind: 'campaign', atMs: START_MS, seed: 1, commit: 'abc', minutes: 1 },
    ...{ groups: [GROUP], attemptsMax: 3 },
  },
  record(1),
  record(2),
  record(3, { bad: true }),
  ...run(1, 'r1'),
  ...run(2, 'r2', { decision: 'retry' }),
  ...run(2, 'r3', { attempt: 2, atMs: START_MS + 250 }),
  ...effect(1, 'r1'),
  ...effect(2, 'r3'),
  dead(3),
  letter(3),
  inbox('m1', 'm2', 'm3'),
  offset(0),
  offset(2),
  exited('SIGTERM', 0),
  { kind: 'looked', offsets: 3, rooms: 3 },
  { kind: 'rested', atMs: START_MS + 60_000, drained: true, drainMs: 10, left: '' },
  { kind: 'last_offset', group: GROUP, ...PLACE, committed: 4, end: 4 },
]

function rulesOf(happenings: readonly ConsumerHappening[]): string[] {
  const history = new ConsumerHistory(happenings)
  return checkConsumers(history).violations.map(({ rule }) => rule)
}

const without = (unwanted: (happening: ConsumerHappening) => boolean) =>
  SOUND.filter(happening => !unwanted(happening))
const isOf = (happening: ConsumerHappening, kind: string, n: number) =>
  happening.kind === kind && 'messageId' in happening && happening.messageId === `m${n}`

test('a sound history has nothing against it', () => {
  assert.deepEqual(rulesOf(SOUND), [])
})

const BROKEN: Readonly<Record<string, readonly ConsumerHappening[]>> = {
  effect_twice: [...SOUND, ...run(2, 'r4', { attempt: 2 }), ...effect(2, 'r4', 3)],
  effect_of_failure: [...without(each => isOf(each, 'effect', 2)), ...effect(2, 'r2')],
  effect_of_bad: [...SOUND, ...run(3, 'r4'), ...effect(3, 'r4')],
  effect_of_expired: [
    ...without(each => isOf(each, 'record', 1)),
    record(1, { expiresAtMs: START_MS - 1 }),
  ],
  phantom: [...SOUND, ...run(9, 'r9'), ...effect(9, 'r9')],
  lost: without(each => isOf(each, 'effect', 2) || isOf(each, 'published', 2)),
  unclaimed: [...without(({ kind }) => kind === 'inbox'), inbox('m1', 'm3')],
  out_of_order: [...without(each => isOf(each, 'effect', 1)), ...effect(1, 'r1', 9)],
  overtaken: [...SOUND, ...run(1, 'r4', { atMs: START_MS + 5_000 })],
  early: [
    ...without(each => isOf(each, 'record', 1)),
    record(1, { delayUntilMs: START_MS + 1_000 }),
  ],
  wrong_dead_letter: without(({ kind }) => kind === 'task' || kind === 'dead_letter'),
  dead_letter_missing: without(({ kind }) => kind === 'dead_letter'),
  dead_letter_altered: [
    ...without(({ kind }) => kind === 'dead_letter'),
    letter(3, { headers: 'other' }),
  ],
  published_otherwise: without(each => isOf(each, 'published', 1)),
  attempt_spent: [...SOUND, ...run(1, 'r4', { attempt: 3, atMs: START_MS + 110 })],
  attempt_not_counted: [...SOUND, ...run(2, 'r4', { attempt: 1, atMs: START_MS + 300 })],
  attempts_beyond_max: [...SOUND, ...run(2, 'r4', { attempt: 9, atMs: START_MS + 300 })],
  committed_unclaimed: [...SOUND, offset(3, ['m2'])],
  committed_backwards: [...SOUND, offset(1)],
  not_committed: [
    ...SOUND,
    { kind: 'last_offset', group: GROUP, ...PLACE, partition: 1, committed: 4, end: 5 },
  ],
  room_broken: [...SOUND, { kind: 'room_broken', atMs: START_MS, group: GROUP, what: 'no head' }],
  repaired: [...SOUND, told('at_once_repaired')],
  ended_by_itself: [...SOUND, told('at_once_ended_by_itself')],
  out_of_range: [...SOUND, told('at_once_out_of_range')],
  key_left: [...SOUND, { kind: 'key', group: GROUP, topic: 't', open: 1 }],
  task_left: [...SOUND, { ...dead(3), state: 'held' } as ConsumerHappening],
  ran_while_held: [
    ...SOUND,
    ...run(1, 'r4', { atMs: START_MS + 9_000 }),
    { kind: 'group_held', group: GROUP, fromMs: START_MS + 1_000, toMs: START_MS + 20_000 },
  ],
  not_isolated: [
    ...SOUND,
    record(4, { timestampMs: START_MS + 9_000, expiresAtMs: START_MS + 9_100 }),
    { kind: 'group_held', group: 'b', fromMs: START_MS + 1_000, toMs: START_MS + 20_000 },
  ],
  stuck: [
    ...without(({ kind }) => kind === 'rested'),
    { kind: 'rested', atMs: START_MS, drained: false, drainMs: 10, left: '3 open tasks' },
  ],
  bad_exit: [...SOUND, exited(null, 'SIGSEGV')],
  hung_stop: [...SOUND, exited('SIGTERM', 'SIGKILL')],
  not_watched: without(({ kind }) => kind === 'looked'),
}

for (const [rule, happenings] of Object.entries(BROKEN)) {
  test(`a history is called out for: ${rule}`, () => {
    const rules = rulesOf(happenings)
    assert.ok(rules.includes(rule), rules.join(', ') || 'nothing was found')
  })
}

test('what asked to come again later and came at once is early', () => {
  const rules = rulesOf([
    ...without(each => isOf(each, 'run', 2)),
    ...run(2, 'r2', { decision: 'retry_at', againAtMs: START_MS + 900 }),
    ...run(2, 'r3', { attempt: 2, atMs: START_MS + 250 }),
  ])
  assert.ok(rules.includes('early'))
})

test('a fault excuses an attempt that no failure explains, and no effect that is there twice', () => {
  const faults: ConsumerHappening[] = [
    { kind: 'fault_started', atMs: START_MS, id: 1, fault: 'member_killed', target: 'a-0' },
    { kind: 'fault_healed', atMs: START_MS + 200, id: 1, fault: 'member_killed' },
  ]
  assert.deepEqual(rulesOf([...(BROKEN.attempt_spent ?? []), ...faults]), [])
  assert.deepEqual(rulesOf([...(BROKEN.effect_twice ?? []), ...faults]), ['effect_twice'])
})

test('each short wait and each breakage still finds its text exactly once', async () => {
  for (const { name, file, find } of [...SHORT_WAITS, ...consumerMutants]) {
    const text = await readFile(join(packageRoot(), file), 'utf8')
    assert.equal(text.split(find).length - 1, 1, `${name}: ${file}`)
  }
})
