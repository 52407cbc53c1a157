import { type TestContext, test } from 'node:test'
import { leasing } from './outbox-adapter-leasing.ts'
import { retrying, settling } from './outbox-adapter-recording.ts'
import { reserving } from './outbox-adapter-reserving.ts'
import { type Obligation, type OutboxUnderTest, rigOf } from './outbox-adapter-rig.ts'

/**
 * Registers the tests of what an `OutboxAdapter` owes the relay.
 * @param open called by each test with an outbox that is empty
 */
export function outboxAdapterContract(
  name: string,
  open: (t: TestContext) => Promise<OutboxUnderTest>,
): void {
  const obligation: Obligation = (text, work) =>
    test(`${name}: ${text}`, async t => work(rigOf(await open(t))))
  reserving(obligation)
  settling(obligation)
  retrying(obligation)
  leasing(obligation)
}
