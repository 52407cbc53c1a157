/**
 * npm run chaos:admission -- --joins 100000 --capacity 200 --seed 1
 * Lets crowds into waiting rooms under faults on real parts, writes the history and judges it. Exit code: 0 passed,
 * 1 violated, 2 not understood.
 */
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeError } from '../../../src/errors.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { CampaignScope, endOnSignals } from '../campaign/scope.ts'
import { treeOfShortWaits } from '../consumer/short-waits.ts'
import { admissionTable } from './admission-table.ts'
import { runAdmissionCampaign } from './campaign.ts'
import { checkAdmission } from './checker.ts'
import { AdmissionHistory } from './history.ts'
import { type AdmissionChaosSettings, parseSettings, USAGE } from './settings.ts'
import { startAdmissionParts } from './stage.ts'

const DRAIN_DEADLINE_MS = 180_000

endOnSignals()
// Whatever the clients of a server that is gone still try must not keep the process.
process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  let settings: AdmissionChaosSettings
  try {
    settings = parseSettings(args)
  } catch (error) {
    tell(`${describeError(error)}\n${USAGE}`)
    return 2
  }
  const { check, out } = settings
  const history = check ? await new AdmissionHistory().read(check) : await run(settings)
  if (!check) await history.write(out)
  const verdict = checkAdmission(history)
  process.stdout.write(`${admissionTable(verdict)}\n`)
  tell(`history: ${check ?? out}`)
  return verdict.passed ? 0 : 1
}

async function run(settings: AdmissionChaosSettings): Promise<AdmissionHistory> {
  const { joins, rooms, capacity, seed, waits, checkout, out } = settings
  tell(`seed ${seed}, ${joins} joins, ${rooms} rooms of ${capacity}, ${waits} waits`)
  const scope = new CampaignScope()
  const root = checkout === null ? packageRoot() : resolve(checkout)
  const tree = waits === 'short' ? await treeOfShortWaits(root) : null
  const folder = resolve(`${out}.logs`)
  await rm(folder, { recursive: true, force: true })
  try {
    return await runAdmissionCampaign(await startAdmissionParts(scope), {
      ...settings,
      ...{ folder, root: tree?.folder ?? root },
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
