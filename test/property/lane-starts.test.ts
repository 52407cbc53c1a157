import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { IdStore, LaneStart } from '../../src/outbox/event-store.ts'
import { LaneStarts } from '../../src/outbox/lane-starts.ts'
import type { HeldLease } from '../../src/outbox/lane-store.ts'
import { LowWater } from '../../src/outbox/low-water.ts'
import { sampleEvent } from '../contract/sample-event.ts'

const LANES: readonly HeldLease[] = [0, 1].map(lane => ({ lane, epoch: '1', lowWater: 0n }))
/** So rarely are marks moved at most. */
const ADVANCE_MS = 2_000
const TOPICS = ['a', 'b'] as const
const KEYS = ['k', 'l', 'm'] as const

interface Row {
  readonly event: OutboxEvent
  readonly isDelayed: boolean
  attempts: number
  notBeforeMs: number
}

interface Writer {
  readonly name: string
  readonly rows: Row[]
}

/** A table in which ids are given early and seen late, and what two replicas' worth of marks make of it. */
class Table {
  nowMs = 1_000
  /** How long a refused event waits. */
  readonly retryMs = 30
  rows: Row[] = []
  readonly writers: Writer[] = []
  readonly paused = new Set<string>()
  readonly below: number[] = []
  readonly ids: IdStore = {
    writers: async () => ({
      lastId: BigInt(this.#lastId),
      open: new Set(this.writers.map(({ name }) => name)),
      server: 'one',
      position: 1n,
      flushed: 1n,
    }),
    firstIds: async lanes => this.#firstIds(lanes),
    keep: async () => {},
  }
  readonly lowWater = new LowWater(this.ids, lanes => this.below.push(...lanes))
  readonly starts = new LaneStarts(this.lowWater)
  #lastId = 0
  #writers = 0

  open(): void {
    this.writers.push({ name: `3/${++this.#writers}`, rows: [] })
  }

  /** A key's next event is written when the former is committed: its writer holds a lock. */
  write(writer: Writer, topic: string, key: string, delayMs: number): void {
    const isLocked = this.writers.some(
      other => other !== writer && other.rows.some(row => row.event.key === key),
    )
    if (isLocked) return
    const id = String(++this.#lastId)
    const lane = KEYS.indexOf(key as 'k') % LANES.length
    const event = sampleEvent({ id, topic, key, lane })
    const notBeforeMs = delayMs === 0 ? 0 : this.nowMs + delayMs
    writer.rows.push({ event, isDelayed: delayMs > 0, attempts: 0, notBeforeMs })
  }

  end(writer: Writer, commits: boolean): void {
    this.writers.splice(this.writers.indexOf(writer), 1)
    if (!commits) return
    this.rows.push(...writer.rows)
    this.rows.sort((a, b) => Number(a.event.id) - Number(b.event.id))
  }

  /** Reads through the marks, checks what was found against all that could be, and publishes or refuses it. */
  read(limit: number, isRefused: (event: OutboxEvent) => boolean): number {
    const entry = this.starts.enter(LANES, [...this.paused])
    const from = new Map(entry.starts.map(({ lane, fromId }) => [lane, fromId]))
    const readable = this.rows.filter(row => this.#isReadable(row))
    const found = readable
      .filter(({ attempts, event }) => attempts > 0 || BigInt(event.id) >= from.get(event.lane)!)
      .slice(0, limit)
    this.starts.found(entry, {
      events: found.map(({ event, attempts }) => ({ ...event, attempts })),
      keysHeld: this.rows.some(({ attempts }) => attempts > 0),
      unflushedUpTo: null,
    })
    for (const row of found) this.#mustBeNext(row, readable, found)
    for (const row of found) {
      if (isRefused(row.event)) {
        row.attempts++
        row.notBeforeMs = this.nowMs + this.retryMs
      } else this.rows.splice(this.rows.indexOf(row), 1)
    }
    return found.length
  }

  /** Every earlier event of the key that could have been read was read with it. */
  #mustBeNext(row: Row, readable: readonly Row[], found: readonly Row[]): void {
    for (const other of readable) {
      const isEarlier = isOfKey(other, row) && Number(other.event.id) < Number(row.event.id)
      if (!isEarlier || other.isDelayed || row.isDelayed || found.includes(other)) continue
      assert.fail(`${row.event.id} was read without ${other.event.id} of the same key`)
    }
  }

  #isReadable(row: Row): boolean {
    if (row.notBeforeMs > this.nowMs || this.paused.has(row.event.topic)) return false
    return !this.rows.some(
      other =>
        other.attempts > 0 && isOfKey(other, row) && Number(other.event.id) < Number(row.event.id),
    )
  }

  #firstIds(lanes: readonly LaneStart[]): Map<number, bigint> {
    const firsts = new Map<number, bigint>()
    for (const { lane, fromId } of lanes) {
      const first = this.rows.find(
        ({ event, attempts }) =>
          event.lane === lane && attempts === 0 && BigInt(event.id) >= fromId,
      )
      if (first) firsts.set(lane, BigInt(first.event.id))
    }
    return firsts
  }
}

function isOfKey(one: Row, other: Row): boolean {
  return one.event.topic === other.event.topic && one.event.key === other.event.key
}

const nth = fc.nat(5)
const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const) }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constantFrom('write' as const, 'write at once' as const, 'write at once' as const),
        nth,
        topic: fc.constantFrom(...TOPICS),
        key: fc.constantFrom(...KEYS),
        delayMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 30, 15_000),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        nth,
        commits: fc.constantFrom(true, true, false),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('read' as const),
        limit: fc.integer({ min: 1, max: 4 }),
        refusedDigit: fc.nat(40),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        looks: fc.constantFrom(1, 1, 4),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        durationMs: fc.constantFrom(1, 5, 40, 60, 310, 600),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('pause' as const),
        topic: fc.constantFrom(...TOPICS),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const) }) },
  ),
  // fast-check would keep to about ten.
  { minLength: 20, maxLength: 120, size: 'max' },
)
type Step = (typeof steps extends fc.Arbitrary<infer S> ? S : never) extends (infer T)[] ? T : never

async function take(table: Table, step: Step): Promise<void> {
  if (step.kind === 'open') table.open()
  else if (step.kind === 'read')
    table.read(step.limit, ({ id }) => id.endsWith(String(step.refusedDigit)))
  else if (step.kind === 'advance') {
    for (let look = 0; look < step.looks; look++) {
      table.nowMs += ADVANCE_MS
      await table.lowWater.advance(LANES)
    }
  } else if (step.kind === 'pass') table.nowMs += step.durationMs
  else if (step.kind === 'reset') table.starts.reset()
  else if (step.kind === 'pause') {
    if (!table.paused.delete(step.topic)) table.paused.add(step.topic)
  } else if (step.kind === 'write at once') {
    table.open()
    const writer = table.writers.at(-1)!
    table.write(writer, step.topic, step.key, step.delayMs)
    table.end(writer, true)
  } else {
    const writer = table.writers[step.nth % Math.max(1, table.writers.length)]
    if (writer === undefined) return
    if (step.kind === 'end') table.end(writer, step.commits)
    else table.write(writer, step.topic, step.key, step.delayMs)
  }
}

test('the marks never skip an event for good, nor let a later one of its key pass', async () => {
  let table = new Table()
  const clock = mock.method(process.hrtime, 'bigint', () => BigInt(table.nowMs) * 1_000_000n)
  try {
    const property = fc.asyncProperty(steps, async plan => {
      table = new Table()
      for (const step of plan) await take(table, step)
      for (const writer of [...table.writers]) table.end(writer, true)
      table.paused.clear()
      for (let turn = 0; turn < 40 && table.rows.length > 0; turn++) {
        table.nowMs += 1_000
        await table.lowWater.advance(LANES)
        table.read(100, () => false)
      }
      assert.deepEqual(
        table.rows.map(({ event }) => event.id),
        [],
        'events are left',
      )
      assert.deepEqual(table.below, [])
    })
    await fc.assert(property, { numRuns: 6_000 })
  } finally {
    clock.mock.restore()
  }
})
