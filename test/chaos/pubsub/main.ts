/**
 * npm run chaos:pubsub -- --minutes 5 --seed 1
 * Runs requesters and workers under faults on a broker of its own, writes the history and judges it. Exit code: 0
 * passed, 1 violated, 2 not understood.
 */
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeError } from '../../../src/errors.ts'
import { CampaignScope, endOnSignals } from '../campaign/scope.ts'
import { startOwnCluster } from '../faults/own-cluster.ts'
import { runPubsubCampaign } from './campaign.ts'
import { checkPubsub } from './checker.ts'
import { PubsubHistory } from './history.ts'
import { pubsubTable } from './pubsub-table.ts'
import { type PubsubChaosSettings, parseSettings, USAGE } from './settings.ts'

const DRAIN_DEADLINE_MS = 60_000
const TIMEOUT_MS = 5_000

endOnSignals()
// Whatever the clients of a server that is gone still try must not keep the process.
process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  let settings: PubsubChaosSettings
  try {
    settings = parseSettings(args)
  } catch (error) {
    tell(`${describeError(error)}\n${USAGE}`)
    return 2
  }
  const { check, out } = settings
  const history = check ? await new PubsubHistory().read(check) : await run(settings)
  if (!check) await history.write(out)
  const verdict = checkPubsub(history)
  process.stdout.write(`${pubsubTable(verdict)}\n`)
  tell(`history: ${check ?? out}`)
  return verdict.passed ? 0 : 1
}

async function run(settings: PubsubChaosSettings): Promise<PubsubHistory> {
  const { minutes, seed, out, parties, faults, faultEveryMs, requestsPerSecond } = settings
  const [shared, instance, workers] = parties
  tell(`seed ${seed}, ${minutes} minutes`)
  const scope = new CampaignScope()
  const folder = resolve(`${out}.logs`)
  await rm(folder, { recursive: true, force: true })
  try {
    return await runPubsubCampaign(await startOwnCluster(scope, { brokers: 1 }), {
      ...{ folder, seed, workers, faults, faultEveryMs, requestsPerSecond },
      requesters: [
        ...Array<'shared'>(shared).fill('shared'),
        ...Array<'instance'>(instance).fill('instance'),
      ],
      durationMs: minutes * 60_000,
      timeoutMs: TIMEOUT_MS,
      drainDeadlineMs: DRAIN_DEADLINE_MS,
      onProgress: tell,
    })
  } finally {
    await scope.close()
  }
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
