/** `npm run bench -- drain|memory [--events N] …`: measures the relay on a real PostgreSQL and a real Kafka. */
import { parseArgs } from 'node:util'
import { describeError } from '../src/errors.ts'
import { benchDrain, type DrainBenchOptions, type Round } from './drain.ts'
import { benchMemory } from './memory.ts'

const USAGE = `usage: npm run bench -- drain [--events 100000] [--keys 5000] [--bytes 500] [--partitions 12]
                              [--workers N] [--rounds 1] [--json]
       npm run bench -- memory [--events 100000] [--bytes 500] [--seconds 30] [--json]
  drain   publishes a full outbox, between two runs of a bare kafkajs producer with the same records
  memory  what a relay needs with that many events waiting, while no broker answers and while it publishes
`

interface Command extends DrainBenchOptions {
  readonly what: 'drain' | 'memory'
  readonly seconds: number
  readonly json: boolean
}

function parse(args: readonly string[]): Command {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      events: { type: 'string', default: '100000' },
      keys: { type: 'string', default: '5000' },
      bytes: { type: 'string', default: '500' },
      partitions: { type: 'string', default: '12' },
      rounds: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '30' },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const what = positionals.join(' ')
  if (what !== 'drain' && what !== 'memory')
    throw new Error('name what to measure: drain or memory')
  return {
    what,
    seconds: wholeNumber('--seconds', values.seconds, 1),
    events: wholeNumber('--events', values.events, 2_000),
    keys: wholeNumber('--keys', values.keys, 1),
    bytes: wholeNumber('--bytes', values.bytes, 24),
    partitions: wholeNumber('--partitions', values.partitions, 1),
    rounds: wholeNumber('--rounds', values.rounds, 1),
    workers: values.workers === undefined ? undefined : wholeNumber('--workers', values.workers, 1),
    json: values.json,
  }
}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
  throw new Error(`${name} must be a whole number from ${min}`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
}

function medianOf(rounds: readonly Round[]) {
  const cpu = rounds.map(round => round.cpuMicrosPerEvent).filter(value => value !== null)
  return {
    raw: [median(rounds.map(round => round.raw[0])), median(rounds.map(round => round.raw[1]))],
    eventsPerSecond: median(rounds.map(round => round.eventsPerSecond)),
    firstPublishMs: median(rounds.map(round => round.firstPublishMs)),
    ratio: median(rounds.map(round => round.ratio)),
    cpuMicrosPerEvent: cpu.length === 0 ? null : median(cpu),
  }
}

function lineOf(name: string, round: ReturnType<typeof medianOf> | Round): string {
  const rate = (value: number | undefined) =>
    `${Math.round(value ?? 0).toLocaleString('en-US')}/s`.padStart(9)
  const cpu = round.cpuMicrosPerEvent
  return [
    name.padEnd(7),
    `raw ${rate(round.raw[0])} ${rate(round.raw[1])}`,
    `relay ${rate(round.eventsPerSecond)}`,
    `ratio ${round.ratio.toFixed(2)}`,
    `CPU ${cpu === null ? '–' : cpu.toFixed(0)} µs/event`,
    `first record after ${(round.firstPublishMs / 1_000).toFixed(1)} s`,
  ].join('  ')
}

async function main(args: readonly string[]): Promise<number> {
  let command: Command
  try {
    command = parse(args)
  } catch (error) {
    process.stderr.write(`bench: ${describeError(error)}\n${USAGE}`)
    return 2
  }
  const say = (text: string) => void process.stderr.write(`${text}\n`)
  try {
    if (command.what === 'memory') await measureMemory(command, say)
    else await measureDrain(command, say)
    return 0
  } catch (error) {
    process.stderr.write(`bench: ${describeError(error)}\n`)
    return 1
  }
}

async function measureDrain(command: Command, say: (text: string) => void): Promise<void> {
  let played = 0
  const rounds = await benchDrain(command, say, round => {
    played += 1
    say(lineOf(`round ${played}`, round))
  })
  const result = medianOf(rounds)
  process.stdout.write(
    command.json
      ? `${JSON.stringify({ settings: command, median: result, rounds })}\n`
      : `${lineOf('median', result)}\n`,
  )
}

async function measureMemory(command: Command, say: (text: string) => void): Promise<void> {
  const phases = await benchMemory(command, say)
  if (command.json) {
    process.stdout.write(`${JSON.stringify({ settings: command, phases })}\n`)
    return
  }
  for (const { phase, greatestMib, lastMib, stopMs } of phases) {
    const memory = `RSS at most ${greatestMib.toFixed(0)} MiB, at the end ${lastMib.toFixed(0)} MiB`
    process.stdout.write(
      `${phase.padEnd(12)} ${memory}, stopped in ${(stopMs / 1_000).toFixed(1)} s\n`,
    )
  }
}

// Leaving by `exit` lets the relay's owner end it; a signal's default would leave it running.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))
