/**
 * npm run chaos:mutants -- [part of a name…]
 * Breaks the relay in one place at a time, runs it through a short campaign and expects the checker to call it out.
 * Exit code: 0 all killed, 1 a mutant survived or is stale, or the sound relay failed a scenario.
 */
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeError } from '../../../src/errors.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { runCampaign } from './campaign.ts'
import { judgeFile } from './judge-file.ts'
import { type ListedMutant, mutants } from './mutant-list.ts'
import { MutantTree } from './mutant-tree.ts'
import { LAX_LIMITS, type ScenarioName, scenarios } from './scenarios.ts'
import { CampaignScope, endOnSignals } from './scope.ts'
import { type Parts, startParts } from './stage.ts'

/** What has not drained by then is stuck. */
const DRAIN_DEADLINE_MS = 20_000
/** Mistakes that need luck to show get a few tries. */
const ATTEMPTS_MAX = 2
const FOLDER = join(tmpdir(), 'sluice-mutants')

interface Judged {
  readonly rules: readonly string[]
  readonly seconds: number
}

endOnSignals()
process.exitCode = await main(process.argv.slice(2))

async function main(filters: readonly string[]): Promise<number> {
  const chosen = mutants.filter(
    ({ name, scenario }) =>
      filters.length === 0 || filters.some(part => name.includes(part) || scenario === part),
  )
  const tree = await MutantTree.copyOf(packageRoot())
  const scope = new CampaignScope()
  await mkdir(FOLDER, { recursive: true })
  try {
    const stale = await staleOf(tree, chosen)
    for (const line of stale) tell(`STALE     ${line}`)
    const parts = await startParts(scope, 1)
    const noise = await noiseOf(parts, tree, chosen)
    const survived = await hunt(parts, tree, chosen, noise)
    const sound = [...noise.values()].every(rules => rules.size === 0)
    tell(
      `${chosen.length - survived - stale.length} killed, ${survived} survived, ${stale.length} stale`,
    )
    return sound && survived + stale.length === 0 ? 0 : 1
  } finally {
    await scope.close()
    await tree.remove()
  }
}

async function staleOf(tree: MutantTree, chosen: readonly ListedMutant[]): Promise<string[]> {
  const lines: string[] = []
  for (const mutant of chosen) {
    const stale = await tree.staleness(mutant)
    if (stale !== null) lines.push(`${mutant.name}: ${stale}`)
  }
  return lines
}

type Noise = ReadonlyMap<ScenarioName, ReadonlySet<string>>

/** The rules that the sound relay breaks in each scenario: none, or a kill by them proves nothing. */
async function noiseOf(
  parts: Parts,
  tree: MutantTree,
  chosen: readonly ListedMutant[],
): Promise<Noise> {
  const noise = new Map<ScenarioName, Set<string>>()
  for (const scenario of new Set(chosen.map(mutant => mutant.scenario))) {
    const { rules, seconds } = await run(parts, tree, scenario, `sound-${scenario}`)
    noise.set(scenario, new Set(rules.map(ruleName)))
    const what = rules.length === 0 ? 'sound' : 'UNSOUND'
    tell(line(what, seconds, scenario, 'the relay as it is', rules))
  }
  return noise
}

/** @returns how many survived */
async function hunt(
  parts: Parts,
  tree: MutantTree,
  chosen: readonly ListedMutant[],
  noise: Noise,
): Promise<number> {
  let survived = 0
  for (const [number, mutant] of chosen.entries()) {
    if ((await tree.staleness(mutant)) !== null) continue
    let judged: Judged = { rules: [], seconds: 0 }
    const isKill = (rule: string) => !noise.get(mutant.scenario)?.has(ruleName(rule))
    for (let attempt = 1; attempt <= ATTEMPTS_MAX && !judged.rules.some(isKill); attempt++) {
      const name = `mutant-${number + 1}-${attempt}`
      const { rules, seconds } = await tree.with(mutant, () =>
        run(parts, tree, mutant.scenario, name),
      )
      judged = { rules, seconds: judged.seconds + seconds }
    }
    const killed = judged.rules.some(isKill)
    if (!killed) survived++
    tell(
      line(
        killed ? 'killed' : 'SURVIVED',
        judged.seconds,
        mutant.scenario,
        mutant.name,
        judged.rules,
      ),
    )
  }
  return survived
}

async function run(
  parts: Parts,
  tree: MutantTree,
  name: ScenarioName,
  fileName: string,
): Promise<Judged> {
  const startedMs = performance.now()
  const file = join(FOLDER, `${fileName}.jsonl`)
  await rm(file, { force: true })
  const rules = await rulesOf(parts, tree, name, file)
  await parts.cluster.heal()
  await parts.postgres.heal()
  return { rules, seconds: (performance.now() - startedMs) / 1_000 }
}

/** The rules that were broken; a relay that cannot even run counts as one. */
async function rulesOf(
  parts: Parts,
  tree: MutantTree,
  name: ScenarioName,
  file: string,
): Promise<string[]> {
  try {
    await runCampaign(parts, {
      ...scenarios[name],
      root: tree.folder,
      file,
      replicas: 3,
      limits: LAX_LIMITS,
      drainDeadlineMs: DRAIN_DEADLINE_MS,
      onProgress: () => {},
    })
  } catch (error) {
    return [`did not run: ${describeError(error)}`]
  }
  const { verdict } = await judgeFile(file)
  return verdict.violations.map(({ rule, count }) => `${rule} ${count}`)
}

/** `lost 3` → `lost` */
function ruleName(rule: string): string {
  return rule.split(' ')[0] ?? rule
}

function line(
  what: string,
  seconds: number,
  scenario: string,
  name: string,
  rules: readonly string[],
): string {
  return `${what.padEnd(10)}${seconds.toFixed(0).padStart(4)} s  ${scenario.padEnd(14)}${name}${rules.length > 0 ? `: ${rules.join(', ')}` : ''}`
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
