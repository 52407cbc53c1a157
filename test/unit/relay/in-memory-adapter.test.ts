import { outboxAdapterContract } from '../../contract/outbox-adapter.ts'
import { InMemoryAdapter } from '../../support/in-memory-adapter.ts'
import { InMemoryOutbox } from '../../support/in-memory-outbox.ts'

outboxAdapterContract('in-memory adapter', async () => {
  const outbox = new InMemoryOutbox()
  return {
    openReplica: () => new InMemoryAdapter(outbox),
    write: async rows => outbox.write(rows),
    waiting: async () => outbox.rows.map(({ event: { key }, attempts }) => ({ key, attempts })),
    deadLetters: async () =>
      outbox.deadLetters.map(({ event, reason, error }) => ({
        eventId: event.eventId,
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
})
