import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import { Breakers } from '../../src/relay/breakers.ts'
import type { Outcome } from '../../src/relay/producer.ts'
import { sampleEvents } from '../contract/sample-event.ts'

const TOPICS = ['a', 'b'] as const
const RESET_MS = 1_000
/** Below what a fault of the cluster makes of it. */
const LIMIT = 50
/** All steps together stay within the window in which failures are counted. */
const STEPS_MAX = 60
const PASS_MS_MAX = 800

const refused = { kind: 'rejected', code: 'bad', message: 'bad', permanent: false } as const
const unknown = { kind: 'unknown', code: 'down', message: 'down' } as const
const OUTCOMES: Record<string, Outcome> = {
  acked: { kind: 'acked', partition: 0, offset: '1' },
  refused,
  topicDown: { ...unknown, fault: 'broker', scope: 'topic' },
  clusterDown: { ...unknown, fault: 'producer', scope: 'cluster' },
  held: { ...unknown, fault: 'held', scope: 'topic' },
}

/** What a breaker is, by its description alone: three failures in a row open it, one probe closes or opens it again. */
class BreakerModel {
  failures = 0
  opensAgainMs: number | null = null
  isHalfOpen = false
  isProbing = false

  pass(nowMs: number): void {
    if (this.opensAgainMs === null || nowMs < this.opensAgainMs) return
    this.opensAgainMs = null
    this.isHalfOpen = true
  }

  get isShut(): boolean {
    return this.opensAgainMs !== null || (this.isHalfOpen && this.isProbing)
  }

  get isClosed(): boolean {
    return this.opensAgainMs === null && !this.isHalfOpen
  }

  succeed(): void {
    if (this.opensAgainMs !== null) return
    this.failures = 0
    this.isHalfOpen = false
  }

  fail(nowMs: number): void {
    if (this.opensAgainMs !== null) return
    this.failures++
    if (!this.isHalfOpen && this.failures < 3) return
    this.isHalfOpen = false
    this.opensAgainMs = nowMs + RESET_MS
  }
}

type Step =
  | { readonly kind: 'admit'; readonly topics: readonly string[] }
  | { readonly kind: 'answer'; readonly outcomes: readonly string[] }
  | { readonly kind: 'pass'; readonly durationMs: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('admit' as const),
      topics: fc.array(fc.constantFrom(...TOPICS), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant('answer' as const),
      outcomes: fc.array(fc.constantFrom(...Object.keys(OUTCOMES)), { minLength: 4, maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant('pass' as const),
      durationMs: fc.integer({ min: 1, max: PASS_MS_MAX }),
    }),
  ),
  // fast-check would keep to about ten.
  { minLength: 10, maxLength: STEPS_MAX, size: 'max' },
)

class Models {
  nowMs = 0
  readonly cluster = new BreakerModel()
  readonly topics = new Map<string, BreakerModel>(TOPICS.map(topic => [topic, new BreakerModel()]))

  get all(): BreakerModel[] {
    return [this.cluster, ...this.topics.values()]
  }

  admit(events: readonly OutboxEvent[]): OutboxEvent[] {
    return events.filter(({ topic }) => {
      const both = [this.cluster, this.topics.get(topic)!]
      if (both.some(({ isShut }) => isShut)) return false
      for (const model of both) if (!model.isClosed) model.isProbing = true
      return true
    })
  }

  record(events: readonly OutboxEvent[], outcomes: readonly Outcome[]): void {
    const well = new Set<BreakerModel>()
    const ill = new Set<BreakerModel>()
    for (const [index, { topic }] of events.entries()) {
      const outcome = outcomes[index]!
      if (outcome.kind !== 'unknown') well.add(this.cluster).add(this.topics.get(topic)!)
      else if (outcome.fault === 'held') continue
      else if (outcome.scope === 'cluster') ill.add(this.cluster)
      else {
        well.add(this.cluster)
        ill.add(this.topics.get(topic)!)
      }
    }
    for (const model of well) model.succeed()
    for (const model of ill) if (!well.has(model)) model.fail(this.nowMs)
    for (const { topic } of events) {
      this.cluster.isProbing = false
      this.topics.get(topic)!.isProbing = false
    }
  }
}

async function follow(plan: readonly Step[]): Promise<void> {
  const breakers = new Breakers(RESET_MS, () => {})
  const models = new Models()
  const underWay: (readonly OutboxEvent[])[] = []
  for (const step of plan) {
    if (step.kind === 'pass') {
      models.nowMs += step.durationMs
      mock.timers.tick(step.durationMs)
      for (const model of models.all) model.pass(models.nowMs)
    } else if (step.kind === 'admit') {
      const events = sampleEvents(step.topics.map(topic => ({ topic })))
      const admitted = breakers.admit(events)
      assert.deepEqual(admitted, models.admit(events))
      if (admitted.length > 0) underWay.push(admitted)
    } else {
      const events = underWay.shift()
      if (events === undefined) continue
      const outcomes = events.map((_, index) => OUTCOMES[step.outcomes[index]!]!)
      breakers.record(events, outcomes)
      models.record(events, outcomes)
    }
    // opossum counts in later microtasks.
    await new Promise(setImmediate)
    const { cluster, topics } = models
    const limit = cluster.isClosed ? LIMIT : cluster.isShut ? 0 : 1
    assert.equal(breakers.reservable(LIMIT), limit)
    const shut = TOPICS.filter(topic => topics.get(topic)!.isShut)
    assert.deepEqual(breakers.shutTopics().sort(), shut)
    const open = TOPICS.filter(topic => !topics.get(topic)!.isClosed).map(topic => `topic:${topic}`)
    const names = cluster.isClosed ? open : ['cluster', ...open]
    assert.deepEqual(breakers.openNames().sort(), names)
  }
  breakers.stop()
}

test('breakers open at the third failure in a row and close at a probe, whatever else is under way', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
  try {
    await fc.assert(fc.asyncProperty(steps, follow), { numRuns: 400 })
  } finally {
    mock.timers.reset()
  }
})
