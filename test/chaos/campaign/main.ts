/**
 * npm run chaos -- --minutes 5 --seed 1
 * Runs the relay under faults on real parts, writes the history and judges it. Exit code: 0 passed, 1 violated,
 * 2 not understood.
 */
import { resolve } from 'node:path'
import { describeError } from '../../../src/errors.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { runCampaign } from './campaign.ts'
import { judgeFile } from './judge-file.ts'
import { CampaignScope, endOnSignals } from './scope.ts'
import { type ChaosSettings, LIMITS, parseSettings, USAGE } from './settings.ts'
import { startParts } from './stage.ts'

const DRAIN_DEADLINE_MS = 90_000

endOnSignals()
// Whatever the clients of a server that is gone still try must not keep the process.
process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  let settings: ChaosSettings
  try {
    settings = parseSettings(args)
  } catch (error) {
    tell(`${describeError(error)}\n${USAGE}`)
    return 2
  }
  const scope = new CampaignScope()
  try {
    await run(settings, scope)
  } finally {
    await scope.close()
  }
  const { passed, table, verdictFile } = await judgeFile(settings.out)
  process.stdout.write(`${table}\n`)
  tell(`history: ${settings.out}\nverdict: ${verdictFile}`)
  return passed ? 0 : 1
}

async function run(settings: ChaosSettings, scope: CampaignScope): Promise<void> {
  const { minutes, seed, brokers, out, relay, ...rest } = settings
  tell(`seed ${seed}, ${minutes} minutes, ${brokers} broker(s), ${settings.replicas} replicas`)
  const parts = await startParts(scope, brokers)
  await runCampaign(parts, {
    ...rest,
    root: relay === null ? packageRoot() : resolve(relay),
    file: resolve(out),
    seed,
    durationMs: minutes * 60_000,
    // Both ways of confirming get their turn.
    retention: seed % 2 === 0,
    limits: LIMITS,
    drainDeadlineMs: DRAIN_DEADLINE_MS,
    onProgress: tell,
  })
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
