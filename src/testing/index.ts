/**
 * `sluice-outbox/testing`: for those who bring an own `OutboxAdapter` or `Producer`. The suites are the ones that ours
 * must pass; they register tests with node:test. The in-memory parts pass them too, and stand in for PostgreSQL and
 * Kafka in tests of what is built on the relay. Re-exports only.
 *
 * @example
 * import { InMemoryAdapter, InMemoryOutbox, outboxAdapterContract } from 'sluice-outbox/testing'
 *
 * outboxAdapterContract('my adapter', async t => {
 *   const store = await openStore()
 *   t.after(() => store.close())
 *   return { openReplica: () => new MyAdapter(store), write, waiting, deadLetters, makeDue, takeOver }
 * })
 */
export { outboxAdapterContract } from '../../test/contract/outbox-adapter.ts'
export type { DeadLetter, NewRow, OutboxUnderTest } from '../../test/contract/outbox-adapter-rig.ts'
export { type ProducerUnderTest, producerContract } from '../../test/contract/producer.ts'
export { sampleEvent, sampleEvents } from '../../test/contract/sample-event.ts'
export { InMemoryAdapter } from '../../test/support/in-memory-adapter.ts'
export { InMemoryOutbox } from '../../test/support/in-memory-outbox.ts'
export { InMemoryProducer } from '../../test/support/in-memory-producer.ts'
