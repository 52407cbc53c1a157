import type { Command } from 'commander'
import { withOutbox } from '../operator/outbox-access.ts'
import { type PauseKind, pauseAll, readPauses, resumeAll } from '../operator/pauses.ts'
import type { CliContext } from './context.ts'
import { type ActFlags, addActFlags, howToDoIt, mandateOf } from './operator-flags.ts'
import { counted, jsonText, plain } from './table.ts'

/** What the commands of lanes and of topics differ in. */
export interface Pausable {
  readonly kind: PauseKind
  /** How names are written, such as `<n...>`. */
  readonly argument: string
  /** Names from the arguments, each once. */
  readonly pauseNames: (given: readonly string[]) => string[]
  readonly resumeNames: (given: readonly string[]) => string[]
}

/** Adds `pause` and `resume`. */
export function registerPausing(command: Command, context: CliContext, what: Pausable): void {
  const { kind, argument } = what
  const pause = command
    .command('pause')
    .description(`publish nothing of these ${kind}s until they are resumed; events wait`)
    .argument(argument)
  addActFlags(pause, 'why; needed, shown to everyone who wonders').action(
    async (given: string[], flags: ActFlags) => {
      await change(context, { kind, verb: 'pause', names: what.pauseNames(given), flags })
    },
  )
  const resume = command
    .command('resume')
    .description(`publish these ${kind}s again, from where they stopped`)
    .argument(argument)
  addActFlags(resume, 'why').action(async (given: string[], flags: ActFlags) => {
    await change(context, { kind, verb: 'resume', names: what.resumeNames(given), flags })
  })
}

interface Change {
  readonly kind: PauseKind
  readonly verb: 'pause' | 'resume'
  readonly names: readonly string[]
  readonly flags: ActFlags
}

async function change(context: CliContext, { kind, verb, names, flags }: Change): Promise<void> {
  const mandate = mandateOf(flags, verb === 'pause' && flags.yes === true)
  const { databaseUrl } = context.loadOptions()
  const changed = await withOutbox(databaseUrl, `${kind}s ${verb}`, async outbox => {
    const paused = new Set(
      (await readPauses(outbox)).filter(each => each.kind === kind).map(({ name }) => name),
    )
    const affected = names.filter(name => paused.has(name) === (verb === 'resume'))
    if (!flags.yes) return affected
    const reason = mandate.reason ?? ''
    return verb === 'pause'
      ? pauseAll(outbox, kind, names, { ...mandate, reason })
      : resumeAll(outbox, kind, names, mandate)
  })
  const same = names.filter(name => !changed.includes(name))
  if (flags.json) {
    const key = verb === 'pause' ? 'paused' : 'resumed'
    context.stdout.write(jsonText({ dry_run: !flags.yes, [key]: changed, unchanged: same }))
    return
  }
  const lines = flags.yes ? done(verb, kind, changed) : planned(verb, kind, changed)
  if (same.length > 0) {
    const state = verb === 'pause' ? 'Already paused' : 'Not paused'
    lines.push(`${state}: ${namesText(same)}.`)
  }
  const last = flags.yes || changed.length === 0 ? '' : howToDoIt(verb === 'pause', flags)
  context.stdout.write(`${lines.map(plain).join('\n')}\n${last}`)
}

function planned(verb: string, kind: PauseKind, names: readonly string[]): string[] {
  return names.length === 0
    ? ['Nothing to do.']
    : [`Would ${verb} ${counted(names.length, kind)}: ${namesText(names)}.`]
}

function done(verb: 'pause' | 'resume', kind: PauseKind, names: readonly string[]): string[] {
  if (names.length === 0) return ['Nothing was changed.']
  const what = `${counted(names.length, kind)}: ${namesText(names)}`
  return verb === 'pause'
    ? [`Paused ${what}.`, 'Relays see it within about a second and finish what is in flight.']
    : [`Resumed ${what}.`]
}

const NAMES_SHOWN = 20

/** Numbers that follow each other are written as a range. */
function namesText(names: readonly string[]): string {
  const ranges: { first: string; last: string }[] = []
  for (const name of names) {
    const before = ranges.at(-1)
    if (before && /^\d+$/.test(name) && Number(before.last) + 1 === Number(name)) before.last = name
    else ranges.push({ first: name, last: name })
  }
  const texts = ranges.map(({ first, last }) => (first === last ? first : `${first}-${last}`))
  const rest = texts.length - NAMES_SHOWN
  return `${texts.slice(0, NAMES_SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}
