/**
 * node --import tsx test/chaos/consumer/main.ts --minutes 5 --seed 1
 * Runs two groups of the consumer kit under faults on real parts, writes the history and judges it. Exit code: 0
 * passed, 1 violated, 2 not understood.
 */
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeError } from '../../../src/errors.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { CampaignScope, endOnSignals } from '../campaign/scope.ts'
import { startParts } from '../campaign/stage.ts'
import { runConsumerCampaign } from './campaign.ts'
import { checkConsumers } from './checker.ts'
import { consumerTable } from './consumer-table.ts'
import { ConsumerHistory } from './history.ts'
import { SPICE } from './message-plan.ts'
import { type ConsumerChaosSettings, parseSettings, USAGE } from './settings.ts'
import { treeOfShortWaits } from './short-waits.ts'

const DRAIN_DEADLINE_MS = 120_000
const KEYS = 40
const ATTEMPTS_MAX = 6

endOnSignals()
// Whatever the clients of a server that is gone still try must not keep the process.
process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  let settings: ConsumerChaosSettings
  try {
    settings = parseSettings(args)
  } catch (error) {
    tell(`${describeError(error)}\n${USAGE}`)
    return 2
  }
  const { check, out } = settings
  const history = check ? await new ConsumerHistory().read(check) : await run(settings)
  if (!check) await history.write(out)
  const verdict = checkConsumers(history)
  process.stdout.write(`${consumerTable(verdict)}\n`)
  tell(`history: ${check ?? out}`)
  return verdict.passed ? 0 : 1
}

async function run(settings: ConsumerChaosSettings): Promise<ConsumerHistory> {
  const { minutes, seed, waits, checkout, out, members, faults } = settings
  const { faultEveryMs, recordsPerSecond } = settings
  tell(`seed ${seed}, ${minutes} minutes, ${members.join(' and ')} members, ${waits} waits`)
  const scope = new CampaignScope()
  const root = checkout === null ? packageRoot() : resolve(checkout)
  const tree = waits === 'short' ? await treeOfShortWaits(root) : null
  const folder = resolve(`${out}.logs`)
  await rm(folder, { recursive: true, force: true })
  try {
    return await runConsumerCampaign(await startParts(scope, 1), {
      ...{ folder, seed, members, faults, faultEveryMs, recordsPerSecond },
      root: tree?.folder ?? root,
      durationMs: minutes * 60_000,
      // Both ways get their turn.
      inBatches: seed % 2 === 0,
      keys: KEYS,
      spice: SPICE,
      attemptsMax: ATTEMPTS_MAX,
      drainDeadlineMs: DRAIN_DEADLINE_MS,
      onProgress: tell,
    })
  } finally {
    await scope.close()
    await tree?.remove()
  }
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
