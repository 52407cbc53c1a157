import { type TestContext, test } from 'node:test'
import { delivering } from './bus-delivering.ts'
import { ending } from './bus-ending.ts'
import { failing } from './bus-failing.ts'
import { publishing } from './bus-publishing.ts'
import { type BusUnderTest, type Obligation, openRig } from './bus-rig.ts'
import { waiting } from './bus-waiting.ts'

/**
 * Registers, with node:test, the tests of what every `Bus` owes those who use it, in memory and on Kafka.
 *
 * @param name begins each test's name
 * @param open called by each test; what it opens beside the bus it closes by `cleanup`
 */
export function busContract(name: string, open: (t: TestContext) => Promise<BusUnderTest>): void {
  const obligation: Obligation = (text, work) =>
    test(`${name}: ${text}`, async t => work(await openRig(t, await open(t))))
  for (const group of [delivering, publishing, failing, waiting, ending]) group(obligation)
}
