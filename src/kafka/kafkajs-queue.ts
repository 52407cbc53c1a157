import { createRequire } from 'node:module'

/** What kafkajs 2.2.4 keeps for each connection; it has no public name. */
interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
  readonly prototype: RequestQueue
}

const schedule = prototype.scheduleCheckPendingRequests

/**
 * Of a connection on which nothing waits, kafkajs looks through the queue every millisecond: 3 % of a core each (its
 * issues 1704 and 1751, open). Whatever is put into the queue later schedules the next look itself.
 */
prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.pending.length > 0) schedule.call(this)
}
