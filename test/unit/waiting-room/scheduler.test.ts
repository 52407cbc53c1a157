import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DependencyGate } from '../../../src/consumer/gates.ts'
import type { MessageHandling } from '../../../src/consumer/message-handling.ts'
import { Scheduler } from '../../../src/waiting-room/scheduler.ts'
import type { ClaimedTask, TaskStore } from '../../../src/waiting-room/task-store.ts'
import { cleanup } from '../../support/cleanup.ts'
import { until } from '../../support/until.ts'

const DEADLINE_MS = 10_000
const NEVER_MS = 3_600_000

const TASK: ClaimedTask = {
  id: '1',
  token: 't',
  messageId: 'm1',
  record: {
    topic: 'orders',
    partition: 0,
    offset: 0n,
    key: null,
    value: null,
    headers: [],
    timestampMs: 0,
  },
  ordered: false,
  attempts: 1,
  expiresAt: null,
  retryTopic: null,
  lateMs: 0,
}

/** Answers of a store: what each claim finds, and when the next task is due after it. */
interface Script {
  readonly claims: readonly (readonly ClaimedTask[])[]
  readonly dueInMs: readonly (number | null)[]
}

function start(t: TestContext, { claims, dueInMs }: Script) {
  const seen = { claims: 0, asked: 0, ended: 0 }
  const gateListeners = new Set<() => void>()
  const ended = async () => {
    seen.ended++
    return true
  }
  const store: TaskStore = {
    claim: async () => [...(claims[seen.claims++] ?? [])],
    nextDueInMs: async () => {
      const inMs = dueInMs[seen.asked++]
      return inMs === undefined ? null : inMs
    },
    complete: ended,
    end: ended,
    reproduce: ended,
    renew: async () => true,
  }
  const gate: DependencyGate = {
    admits: () => 'all',
    failed: () => {},
    succeeded: () => {},
    onChange: listener => {
      gateListeners.add(listener)
      return () => gateListeners.delete(listener)
    },
  }
  const handling: MessageHandling = {
    read: (record, messageId = '') => ({
      kind: 'ignored',
      delivery: { record, messageId, ordered: false },
    }),
    handle: async () => {},
    outcomeOf: () => ({ kind: 'drop', why: 'ignored' }),
  }
  const scheduler = new Scheduler({
    store,
    gate,
    handling,
    settings: {
      group: 'g',
      needs: [],
      attemptsMax: 3,
      retry: { baseMs: 1, maxMs: 1 },
      onBad: 'deadLetter',
      deadLetterTopic: null,
      handlerTimeoutMs: 1_000,
    },
    concurrency: 2,
    pollMsMax: NEVER_MS,
    onEvent: () => {},
  })
  cleanup(t, () => scheduler.stop(1_000))
  const gateChanged = () => {
    for (const listener of gateListeners) listener()
  }
  return { scheduler, seen, gateChanged }
}

test('a task that became due right after a claim is not left until the next poll', async t => {
  const { seen } = start(t, { claims: [[], [TASK]], dueInMs: [0, null] })
  await until(() => seen.ended === 1, { deadlineMs: DEADLINE_MS, what: 'the task is run' })
})

test('what is due but held is not asked for again and again', async t => {
  const { scheduler, seen } = start(t, { claims: [], dueInMs: [0, 0, 0, 0, 0, 0] })
  await until(() => seen.asked === 2, { deadlineMs: DEADLINE_MS, what: 'it was looked for twice' })
  scheduler.wake()
  await until(() => seen.asked >= 3, { deadlineMs: DEADLINE_MS, what: 'it was looked for again' })
  await scheduler.stop(1_000)
  assert.ok(seen.claims <= 5, `${seen.claims} claims`)
})

test('being woken, and a change of the gate, end the sleep', async t => {
  const { scheduler, seen, gateChanged } = start(t, {
    claims: [[], [TASK], [], [TASK]],
    dueInMs: [],
  })
  await until(() => seen.asked === 1, { deadlineMs: DEADLINE_MS, what: 'it sleeps' })
  scheduler.wake()
  await until(() => seen.ended === 1, { deadlineMs: DEADLINE_MS, what: 'the first is run' })
  await until(() => seen.asked === 3, { deadlineMs: DEADLINE_MS, what: 'it sleeps again' })
  gateChanged()
  await until(() => seen.ended === 2, { deadlineMs: DEADLINE_MS, what: 'the second is run' })
})

test('stopping twice, and while asleep, ends at once', async t => {
  const { scheduler, seen } = start(t, { claims: [], dueInMs: [] })
  await until(() => seen.asked === 1, { deadlineMs: DEADLINE_MS, what: 'it sleeps' })
  await Promise.all([scheduler.stop(DEADLINE_MS), scheduler.stop(DEADLINE_MS)])
  await scheduler.completed
  assert.equal(seen.claims, 1)
})
