import { parseArgs } from 'node:util'
import type { FaultKind } from './fault-kinds.ts'
import type { PlanRequest } from './plan.ts'
import { runSeed, type Verdict } from './run-seed.ts'
import { shrink } from './shrink.ts'

// node --import tsx test/simulation/main.ts --seeds 1000 [--from N] [--seconds S] [--events 500]
// node --import tsx test/simulation/main.ts --seed N --trace [--without kind,kind] [--active-ms N]
// Exit codes: 0 nothing found, 1 a violation, 2 bad usage.

/** Of the process; the simulation puts its own in their places. */
const realNs = process.hrtime.bigint.bind(process.hrtime)
const TAIL_LINES = 60

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seconds: { type: 'string', default: 'Infinity' },
    events: { type: 'string', default: '500' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    without: { type: 'string', default: '' },
    'active-ms': { type: 'string' },
    /** Goes on after a violation, without shrinking it. */
    all: { type: 'boolean', default: false },
    /** One line of JSON instead of text, without shrinking. */
    json: { type: 'boolean', default: false },
  },
})
const request = {
  eventsMax: Number(values.events),
  without: new Set(values.without.split(',').filter(Boolean) as FaultKind[]),
  ...(values['active-ms'] === undefined ? {} : { activeMsMax: Number(values['active-ms']) }),
}

process.on('unhandledRejection', error => {
  tell(`an unhandled rejection: ${error instanceof Error ? error.stack : String(error)}`)
  process.exit(1)
})

async function replay(seed: number): Promise<number> {
  const verdict = await runSeed({ ...request, seed })
  for (const line of verdict.history(values.trace ? undefined : TAIL_LINES)) tell(line)
  tell(`kinds: ${verdict.kinds.join(' ')}`)
  tell(
    `${verdict.events} events, ${verdict.duplicates} duplicates, ${verdict.steps} steps, ` +
      `${Math.round(verdict.virtualMs)} ms, history ${verdict.fingerprint}`,
  )
  for (const violation of verdict.violations) tell(`VIOLATED ${violation}`)
  return verdict.violations.length > 0 ? 1 : 0
}

async function runMany(): Promise<number> {
  const startedNs = realNs()
  const elapsedS = () => Number(realNs() - startedNs) / 1e9
  const from = Number(values.from)
  const totals = new Totals()
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    if (elapsedS() >= Number(values.seconds)) break
    const verdict = await runSeed({ ...request, seed })
    totals.add(verdict)
    if (verdict.violations.length === 0) continue
    if (values.json) break
    if (values.all) tell(`seed ${seed}: ${verdict.violations[0]} (${verdict.kinds.join(' ')})`)
    else {
      await tellShrunk({ ...request, seed }, verdict)
      break
    }
  }
  if (values.json) tell(JSON.stringify(totals.asJson()))
  else tell(totals.asText(elapsedS()))
  return totals.violated === 0 ? 0 : 1
}

async function tellShrunk(request: PlanRequest, found: Verdict): Promise<void> {
  const { seed } = request
  const shrunk = await shrink(request, found)
  for (const line of shrunk.verdict.history(TAIL_LINES)) tell(line)
  const { without, eventsMax, activeMsMax } = shrunk.request
  const args = [
    `--seed ${seed} --trace --events ${eventsMax}`,
    without?.size ? `--without ${[...without].join(',')}` : '',
    activeMsMax === undefined ? '' : `--active-ms ${activeMsMax}`,
  ]
  tell(`seed ${seed} violated ${shrunk.verdict.violations[0]}`)
  tell(`needs: ${shrunk.verdict.kinds.join(' ') || 'no fault at all'}`)
  tell(`again: node --import tsx test/simulation/main.ts ${args.filter(Boolean).join(' ')}`)
}

class Totals {
  seeds = 0
  events = 0
  duplicates = 0
  steps = 0
  violated = 0
  virtualMs = 0
  first: Verdict | null = null
  readonly faults = new Map<string, number>()

  add(verdict: Verdict): void {
    this.seeds++
    this.events += verdict.events
    this.duplicates += verdict.duplicates
    this.steps += verdict.steps
    this.virtualMs += verdict.virtualMs
    for (const [kind, count] of verdict.faults) {
      this.faults.set(kind, (this.faults.get(kind) ?? 0) + count)
    }
    if (verdict.violations.length === 0) return
    this.violated++
    this.first ??= verdict
  }

  asJson() {
    const { seeds, events, duplicates, violated, first } = this
    const faults = [...this.faults.values()].reduce((sum, count) => sum + count, 0)
    return {
      seeds,
      events,
      duplicates,
      faults,
      violated,
      seed: first?.seed,
      violation: first?.violations[0],
    }
  }

  asText(elapsedS: number): string {
    const { faults } = this.asJson()
    const kinds = [...this.faults].sort(([, a], [, b]) => b - a).map(([kind, n]) => `${kind} ${n}`)
    return [
      `${this.seeds} seeds in ${elapsedS.toFixed(1)} s (${(this.seeds / elapsedS).toFixed(1)}/s), ` +
        `${Math.round(this.virtualMs / 1000)} simulated seconds, ${this.steps} steps`,
      `${this.events} events, ${this.duplicates} duplicates, all explained; ${faults} faults: ${kinds.join(', ')}`,
      `${this.violated} seeds with a violation`,
    ].join('\n')
  }
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}

process.exitCode = values.seed === undefined ? await runMany() : await replay(Number(values.seed))
