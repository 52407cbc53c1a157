import { type TestContext, test } from 'node:test'
import { leasing } from './outbox-adapter-leasing.ts'
import { retrying, settling } from './outbox-adapter-recording.ts'
import { reserving } from './outbox-adapter-reserving.ts'
import { type Obligation, type OutboxUnderTest, withRig } from './outbox-adapter-rig.ts'
import { reservingSideBySide } from './outbox-adapter-side-by-side.ts'

/**
 * Registers, with node:test, the tests of what an `OutboxAdapter` owes the relay. An adapter that passes them can be
 * handed to `createOutbox`.
 *
 * @param name begins each test's name
 * @param open called by each test, for an empty outbox of its own; what it opens it closes by `t.after`
 */
export function outboxAdapterContract(
  name: string,
  open: (t: TestContext) => Promise<OutboxUnderTest>,
): void {
  const obligation: Obligation = (text, work) =>
    test(`${name}: ${text}`, async t => withRig(await open(t), work))
  for (const group of OUTBOX_ADAPTER_OBLIGATIONS) group(obligation)
}

/** Each registers some of the tests. */
export const OUTBOX_ADAPTER_OBLIGATIONS = [
  reserving,
  reservingSideBySide,
  settling,
  retrying,
  leasing,
] as const
