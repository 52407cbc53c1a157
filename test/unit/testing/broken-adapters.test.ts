import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutboxAdapter, Reservation, Settled } from '../../../src/outbox/adapter.ts'
import { OUTBOX_ADAPTER_OBLIGATIONS } from '../../contract/outbox-adapter.ts'
import { type Rig, withRig } from '../../contract/outbox-adapter-rig.ts'
import { InMemoryAdapter } from '../../support/in-memory-adapter.ts'
import type { InMemoryOutbox } from '../../support/in-memory-outbox.ts'
import { inMemoryOutboxUnderTest } from '../../support/in-memory-outbox-under-test.ts'

const obligations = new Map<string, (rig: Rig) => Promise<void>>()
for (const group of OUTBOX_ADAPTER_OBLIGATIONS) {
  group((text, work) => void obligations.set(text, work))
}

/** Some are found by waiting for what never comes. */
const DEADLINE_MS = 500

type Broken = (outbox: InMemoryOutbox) => OutboxAdapter
type Change = (adapter: InMemoryAdapter, outbox: InMemoryOutbox) => Partial<OutboxAdapter>

/** An adapter that differs from the in-memory one in what is given. */
const differing = (change: Change): Broken => {
  return outbox => {
    const adapter = new InMemoryAdapter(outbox)
    const sound: OutboxAdapter = {
      reserveNewEvents: (...given) => adapter.reserveNewEvents(...given),
      confirm: (...given) => adapter.confirm(...given),
      confirmFailed: (...given) => adapter.confirmFailed(...given),
      renew: (...given) => adapter.renew(...given),
      release: reservation => adapter.release(reservation),
      stop: () => adapter.stop(),
    }
    return { ...sound, ...change(adapter, outbox) }
  }
}

const reversed = (found: Reservation | null) =>
  found && { ...found, events: found.events.toReversed() }

/** Settles whatever it is given, under the epochs that are in force now. */
const unfenced = (outbox: InMemoryOutbox) => {
  return (_: Reservation, items: Parameters<OutboxAdapter['confirm']>[1]): Promise<Settled> => {
    const settled = items.filter(({ event }) => outbox.remove(event)).length
    return Promise.resolve({ settled, fenced: 0 })
  }
}

/** What is broken, and the obligation that must find it. */
const sabotages: ReadonlyArray<readonly [string, string, Broken]> = [
  [
    'hands the newest event out first',
    'the events of a key stand in the order in which they were written',
    differing(adapter => ({
      reserveNewEvents: async (...given) => reversed(await adapter.reserveNewEvents(...given)),
    })),
  ],
  [
    'reserves what is reserved already',
    'two live reservations never share a key, and each begins its keys at their first event',
    differing((adapter, outbox) => ({
      reserveNewEvents: (...given) => {
        for (const lane of outbox.lanes) lane.reserved = false
        return adapter.reserveNewEvents(...given)
      },
    })),
  ],
  [
    'takes live lanes from another replica',
    'two replicas’ live reservations never share a key',
    differing((adapter, outbox) => ({
      reserveNewEvents: (...given) => {
        for (const lane of outbox.lanes) Object.assign(lane, { owner: null, reserved: false })
        return adapter.reserveNewEvents(...given)
      },
    })),
  ],
  [
    'confirms without a fence',
    'a replica whose lanes were taken over changes nothing, and is told so',
    differing((_, outbox) => ({ confirm: unfenced(outbox) })),
  ],
  [
    'renews what it has lost',
    'a renewal after a takeover says that nothing may be sent any more',
    differing(() => ({ renew: async (_, durationMs) => durationMs * 1e9 })),
  ],
  [
    'counts a repeated confirm twice',
    'a confirm that is repeated changes nothing more',
    differing(() => ({ confirm: async (_, items) => ({ settled: items.length, fenced: 0 }) })),
  ],
  [
    'forgets to spend an attempt',
    'a retry that is recorded twice spends one attempt',
    differing(() => ({
      confirmFailed: async (_, items) => ({ settled: items.length, fenced: 0 }),
    })),
  ],
  [
    'lets a retried event’s key go on',
    'a retry holds its key until it is settled, and no other key',
    differing((_, outbox) => ({
      confirmFailed: async (_, items) => {
        for (const row of outbox.rows) {
          if (items.some(({ event }) => event.id === row.event.id)) row.notBeforeMs = 1e15
        }
        return { settled: items.length, fenced: 0 }
      },
    })),
  ],
  [
    'does not look at the limits',
    'a reservation holds no more rows than asked for',
    differing(adapter => ({
      reserveNewEvents: (_, durationMs, options) =>
        adapter.reserveNewEvents(1_000, durationMs, options),
    })),
  ],
  [
    'does not look at the bytes',
    'bytes are counted as UTF-8 writes them, text and bytes alike',
    differing(adapter => ({
      reserveNewEvents: (limit, durationMs, options) =>
        adapter.reserveNewEvents(limit, durationMs, { ...options, bytesMax: 1e9 }),
    })),
  ],
  [
    'hands shut topics out',
    'topics that are shut stay where they are, and only they',
    differing(adapter => ({
      reserveNewEvents: (limit, durationMs, options) =>
        adapter.reserveNewEvents(limit, durationMs, { ...options, exceptTopics: [] }),
    })),
  ],
  [
    'hands shut topics’ places in the limit out to nobody',
    'what must stay where it is uses up no row of the limit',
    differing(adapter => ({
      reserveNewEvents: async (limit, durationMs, options) => {
        const all = { ...options, exceptTopics: [] }
        const found = await adapter.reserveNewEvents(limit, durationMs, all)
        const open = ({ topic }: { topic: string }) => !options.exceptTopics.includes(topic)
        return found && { ...found, events: found.events.filter(open) }
      },
    })),
  ],
  [
    'goes on behind what was released without an answer',
    'reserved in small steps, each event comes once, in its key’s order',
    differing((adapter, outbox) => ({
      release: reservation => {
        const late = outbox.rows.filter(({ event }) =>
          reservation.events.some(({ id }) => id === event.id),
        )
        for (const { event } of late) outbox.remove(event)
        outbox.rows.push(...late)
        adapter.release(reservation)
      },
    })),
  ],
  [
    'keeps its lanes when it stops',
    'what a stopped replica held goes to another one long before its leases end',
    differing((_, outbox) => ({
      stop: async () => {
        for (const lane of outbox.lanes) lane.reserved = true
      },
    })),
  ],
  [
    'reserves after its stop',
    'a stopped replica reserves nothing',
    differing(() => ({ stop: async () => {} })),
  ],
  [
    'never marks what has expired',
    'an event whose time is over is marked so, the others are not',
    differing(adapter => ({
      reserveNewEvents: async (...given) => {
        const found = await adapter.reserveNewEvents(...given)
        return found && { ...found, events: found.events.map(e => ({ ...e, expired: false })) }
      },
    })),
  ],
]

for (const [what, found, open] of sabotages) {
  test(`the suite finds an adapter that ${what}`, async () => {
    const work = obligations.get(found)
    assert.ok(work, `there is no obligation "${found}"`)
    await assert.rejects(withRig(inMemoryOutboxUnderTest(open), work, DEADLINE_MS))
    await withRig(inMemoryOutboxUnderTest(), work, DEADLINE_MS)
  })
}
