import type { OutboxAdapter } from '../../src/outbox/adapter.ts'
import type { OutboxUnderTest } from '../contract/outbox-adapter-rig.ts'
import { InMemoryAdapter } from './in-memory-adapter.ts'
import { InMemoryOutbox } from './in-memory-outbox.ts'

/** An outbox in memory for the adapter's contract. */
export function inMemoryOutboxUnderTest(
  open: (outbox: InMemoryOutbox) => OutboxAdapter = outbox => new InMemoryAdapter(outbox),
): OutboxUnderTest {
  const outbox = new InMemoryOutbox()
  return {
    openReplica: () => open(outbox),
    write: async rows => outbox.write(rows),
    waiting: async () => outbox.rows.map(({ event: { key }, attempts }) => ({ key, attempts })),
    deadLetters: async () =>
      outbox.deadLetters.map(({ event: { eventId }, reason, error }) => ({
        eventId,
        reason,
        error,
      })),
    makeDue: async () => {
      for (const row of outbox.rows) row.notBeforeMs = outbox.nowMs()
    },
    takeOver: async () => {
      for (const lane of outbox.lanes.keys()) outbox.take(lane, 'another replica')
    },
  }
}
