/**
 * node --import tsx test/chaos/admission/mutants.ts [--checkout folder] [part of a name, or a scenario…]
 * Breaks admission in one place at a time, runs it through a short campaign and expects the checker to call it
 * out. Exit code: 0 all killed, 1 a mutant survived or is stale, or the sound one failed a scenario.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describeError } from '../../../src/errors.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import type { MutantTree } from '../campaign/mutant-tree.ts'
import { CampaignScope, endOnSignals } from '../campaign/scope.ts'
import type { Parts } from '../campaign/stage.ts'
import { treeOfShortWaits } from '../consumer/short-waits.ts'
import { runAdmissionCampaign } from './campaign.ts'
import { checkAdmission } from './checker.ts'
import { type AdmissionMutant, admissionMutants } from './mutant-list.ts'
import { type AdmissionScenarioName, admissionScenarios } from './scenarios.ts'
import { startAdmissionParts } from './stage.ts'

/** What has not drained by then is stuck. */
const DRAIN_DEADLINE_MS = { sound: 60_000, mutant: 15_000 }
/** Other work on the machine is no mistake. */
const LATE_MS = 6_000
/** Mistakes that need luck to show get a few tries. */
const ATTEMPTS_MAX = 2

interface Hunt {
  readonly parts: Parts
  readonly tree: MutantTree
  readonly folder: string
}

endOnSignals()
process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals: filters } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { checkout: { type: 'string', default: packageRoot() } },
  })
  const chosen = admissionMutants.filter(
    ({ name, scenario }) =>
      filters.length === 0 || filters.some(part => name.includes(part) || scenario === part),
  )
  const scope = new CampaignScope()
  const tree = await treeOfShortWaits(resolve(values.checkout))
  const folder = await mkdtemp(join(tmpdir(), 'sluice-admission-mutants-'))
  try {
    const hunt = { parts: await startAdmissionParts(scope), tree, folder }
    let failed = 0
    for (const scenario of new Set(chosen.map(mutant => mutant.scenario))) {
      if (!(await isSound(hunt, scenario))) failed++
    }
    for (const mutant of chosen) if (!(await isKilled(hunt, mutant))) failed++
    tell(`${chosen.length} mutants, ${failed} failures`)
    return failed === 0 ? 0 : 1
  } finally {
    await scope.close()
    await tree.remove()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A scenario that the sound one fails proves nothing. */
async function isSound(hunt: Hunt, scenario: AdmissionScenarioName): Promise<boolean> {
  const { rules, seconds } = await run(hunt, scenario, DRAIN_DEADLINE_MS.sound)
  const what = rules.length === 0 ? 'sound' : 'UNSOUND'
  tell(line(what, seconds, scenario, `admission as it is${listed(rules)}`))
  return rules.length === 0
}

async function isKilled(hunt: Hunt, mutant: AdmissionMutant): Promise<boolean> {
  const { name, scenario } = mutant
  const stale = await hunt.tree.staleness(mutant)
  if (stale !== null) {
    tell(line('STALE', 0, scenario, `${name}: ${stale}`))
    return false
  }
  let total = 0
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const { rules, seconds } = await hunt.tree.with(mutant, () =>
      run(hunt, scenario, DRAIN_DEADLINE_MS.mutant),
    )
    total += seconds
    if (rules.length === 0) continue
    tell(line('killed', total, scenario, `${name}${listed(rules)}`))
    return true
  }
  tell(line('SURVIVED', total, scenario, name))
  return false
}

async function run(
  { parts, tree, folder }: Hunt,
  scenario: AdmissionScenarioName,
  drainDeadlineMs: number,
): Promise<{ rules: string[]; seconds: number }> {
  const startedMs = performance.now()
  const logs = join(folder, 'logs')
  await rm(logs, { recursive: true, force: true })
  let rules: string[]
  try {
    const history = await runAdmissionCampaign(parts, {
      ...admissionScenarios[scenario],
      ...{ root: tree.folder, folder: logs, drainDeadlineMs, onProgress: () => {} },
    })
    rules = checkAdmission(history, LATE_MS).violations.map(({ rule, count }) => `${rule} ${count}`)
  } catch (error) {
    // What cannot even run has not been judged.
    tell(line('BROKEN', 0, scenario, describeError(error)))
    rules = []
  }
  await parts.cluster.heal()
  await parts.postgres.heal()
  return { rules, seconds: (performance.now() - startedMs) / 1_000 }
}

function listed(rules: readonly string[]): string {
  return rules.length === 0 ? '' : `: ${rules.join(', ')}`
}

function line(what: string, seconds: number, scenario: string, text: string): string {
  return `${what.padEnd(10)}${seconds.toFixed(0).padStart(4)} s  ${scenario.padEnd(12)}${text}`
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
