import type { Command } from 'commander'
import { SluiceError } from '../errors.ts'
import { LANE_COUNT_MAX, LANES, type LaneFacts, readLanes } from '../operator/lanes.ts'
import { withOutbox } from '../operator/outbox-access.ts'
import type { CliContext } from './context.ts'
import { registerPausing } from './pausing.ts'
import { align, duration, jsonText } from './table.ts'

export function register(program: Command, context: CliContext): void {
  const lanes = program
    .command('lanes')
    .description('the shards of the outbox: list, pause, resume')
  lanes
    .command('list')
    .description('who works on each lane, what waits in it, and whether it is paused')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: true }) => {
      const { databaseUrl } = context.loadOptions()
      const facts = await withOutbox(databaseUrl, 'lanes list', readLanes)
      context.stdout.write(flags.json ? jsonText(facts) : printLanes(facts))
    })
  registerPausing(lanes, context, {
    kind: 'lane',
    argument: '<lanes...>',
    pauseNames: laneNames,
    resumeNames: laneNames,
  })
}

/** `3`, `0-15` → '3', '0', … '15', each once and in order. */
export function laneNames(given: readonly string[]): string[] {
  const lanes = new Set<number>()
  for (const text of given) {
    const parts = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(text)
    const first = Number(parts?.[1] ?? Number.NaN)
    const last = Number(parts?.[2] ?? first)
    if (!(first <= last && last < LANES)) {
      const shape = JSON.stringify(text.slice(0, 20))
      throw new SluiceError(
        'options',
        `lanes are numbers from 0 to ${LANES - 1} or ranges such as 0-15, got ${shape}`,
      )
    }
    for (let lane = first; lane <= last; lane++) lanes.add(lane)
  }
  return [...lanes].sort((a, b) => a - b).map(String)
}

/** Neighbours in which nothing waits are one line, if they have the same owner and the same pause. */
export function printLanes(lanes: readonly LaneFacts[]): string {
  const groups: LaneFacts[][] = []
  for (const lane of lanes) {
    const group = groups.at(-1)
    if (group?.[0] && alike(group[0], lane)) group.push(lane)
    else groups.push([lane])
  }
  const head = ['LANE', 'OWNER', 'EPOCH', 'LEASE LEFT', 'WAITING', 'OLDEST', 'PAUSED']
  return `${align([head, ...groups.map(laneRow)])}\n`
}

function alike(a: LaneFacts, b: LaneFacts): boolean {
  const idle = a.waiting === 0 && b.waiting === 0
  const pausedAlike = a.paused_by === b.paused_by && a.pause_reason === b.pause_reason
  return idle && pausedAlike && a.owner === b.owner
}

function laneRow(lanes: readonly LaneFacts[]): string[] {
  const [first] = lanes
  const last = lanes.at(-1)
  if (!first || !last) return []
  const lefts = lanes.map(lane => lane.lease_left_seconds)
  const left = lefts.includes(null) ? null : Math.min(...lefts.map(seconds => seconds ?? 0))
  const epochs = new Set(lanes.map(({ epoch }) => epoch))
  const { waiting, oldest_age_seconds: oldest, paused_by: by, pause_reason: reason } = first
  return [
    lanes.length === 1 ? String(first.lane) : `${first.lane}-${last.lane}`,
    first.owner ?? '-',
    epochs.size === 1 ? first.epoch : 'various',
    first.owner === null ? '-' : left === null ? 'ended' : duration(left),
    waiting === null
      ? '?'
      : `${waiting.toLocaleString('en')}${waiting === LANE_COUNT_MAX ? '+' : ''}`,
    oldest === null ? '-' : duration(oldest),
    by === null ? '' : `by ${by}: ${reason}`,
  ]
}
