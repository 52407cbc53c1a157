/** `npm run bench -- <what> [--events N] …`: measures on a real PostgreSQL and a real Kafka. */
import { parseArgs } from 'node:util'
import { describeError } from '../src/errors.ts'
import { benchAdmission } from './admission.ts'
import { admissionLines } from './admission-report.ts'
import { benchConsume } from './consume.ts'
import { consumeLines, medianOfConsumed, roomLine } from './consumer-report.ts'
import { benchDrain, type DrainBenchOptions, type Round } from './drain.ts'
import { median } from './median.ts'
import { benchMemory } from './memory.ts'
import { benchRequestReply } from './request-reply.ts'
import { medianOfRequestReply, requestReplyLines } from './request-reply-report.ts'
import { benchWaitingRoom } from './waiting-room.ts'

const USAGE = `usage: npm run bench -- drain [--events 100000] [--keys 5000] [--bytes 500] [--partitions 12]
                              [--workers N] [--rounds 1] [--json]
       npm run bench -- memory [--events 100000] [--bytes 500] [--seconds 30] [--json]
       npm run bench -- consume [--events 100000] [--keys 5000] [--bytes 500] [--partitions 12] [--rounds 1] [--json]
       npm run bench -- waiting-room [--tasks 1000000] [--seconds 10] [--json]
       npm run bench -- request-reply [--bytes 500] [--seconds 10] [--rate 200] [--open 1000] [--partitions 12] [--rounds 1] [--json]
       npm run bench -- admission [--joins 25000] [--connections 64] [--seconds 10] [--json]
  drain         publishes a full outbox, between two runs of a bare kafkajs producer with the same records
  memory        what a relay needs with that many events waiting, while no broker answers and while it publishes
  consume       handles a topic with an inbox and an effect for each record, by hand and by the kit
  waiting-room  claims and completes what is due of that many tasks, while records are parked
  request-reply asks an echo one by one, at a rate, and with many open, by kafkajs and by a Correspondent
  admission     joins a room, looks how it goes, and leaves, over HTTP; looks also at a bare server of the same bytes
`

const SUBJECTS = [
  'drain',
  'memory',
  'consume',
  'waiting-room',
  'request-reply',
  'admission',
] as const

interface Command extends DrainBenchOptions {
  readonly what: (typeof SUBJECTS)[number]
  readonly tasks: number
  /** Requests a second. */
  readonly rate: number
  /** Requests at once. */
  readonly open: number
  readonly joins: number
  readonly connections: number
  /** Undefined: the default of what is measured. */
  readonly seconds: number | undefined
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
      tasks: { type: 'string', default: '1000000' },
      rate: { type: 'string', default: '200' },
      open: { type: 'string', default: '1000' },
      joins: { type: 'string', default: '25000' },
      connections: { type: 'string', default: '64' },
      seconds: { type: 'string' },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const what = SUBJECTS.find(subject => subject === positionals.join(' '))
  if (what === undefined) throw new Error(`name what to measure: ${SUBJECTS.join(', ')}`)
  const optional = (name: string, text: string | undefined) =>
    text === undefined ? undefined : wholeNumber(name, text, 1)
  return {
    what,
    tasks: wholeNumber('--tasks', values.tasks, 10_000),
    rate: wholeNumber('--rate', values.rate, 1),
    open: wholeNumber('--open', values.open, 1),
    joins: wholeNumber('--joins', values.joins, 6_000),
    connections: wholeNumber('--connections', values.connections, 1),
    seconds: optional('--seconds', values.seconds),
    events: wholeNumber('--events', values.events, 2_000),
    keys: wholeNumber('--keys', values.keys, 1),
    bytes: wholeNumber('--bytes', values.bytes, 24),
    partitions: wholeNumber('--partitions', values.partitions, 1),
    rounds: wholeNumber('--rounds', values.rounds, 1),
    workers: optional('--workers', values.workers),
    json: values.json,
  }
}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
  throw new Error(`${name} must be a whole number from ${min}`)
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
    await MEASURES[command.what](command, say)
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
  const phases = await benchMemory({ ...command, seconds: command.seconds ?? 30 }, say)
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

async function measureConsume(command: Command, say: (text: string) => void): Promise<void> {
  let played = 0
  const rounds = await benchConsume(command, say, round => {
    played += 1
    say([`round ${played}`, ...consumeLines(round)].join('\n'))
  })
  const result = medianOfConsumed(rounds)
  process.stdout.write(
    command.json
      ? `${JSON.stringify({ settings: command, median: result, rounds })}\n`
      : `${['median', ...consumeLines(result)].join('\n')}\n`,
  )
}

async function measureRoom(command: Command, say: (text: string) => void): Promise<void> {
  const { tasks, seconds = 10 } = command
  const phases = await benchWaitingRoom({ tasks, keys: Math.floor(tasks / 5), seconds }, say)
  process.stdout.write(
    command.json
      ? `${JSON.stringify({ settings: command, phases })}\n`
      : `${phases.map(roomLine).join('\n')}\n`,
  )
}

async function measureRequestReply(command: Command, say: (text: string) => void): Promise<void> {
  const { rate: ratePerSecond, seconds = 10 } = command
  let played = 0
  const rounds = await benchRequestReply({ ...command, ratePerSecond, seconds }, say, round => {
    played += 1
    say([`round ${played}`, ...requestReplyLines(round)].join('\n'))
  })
  const result = medianOfRequestReply(rounds)
  process.stdout.write(
    command.json
      ? `${JSON.stringify({ settings: command, median: result, rounds })}\n`
      : `${['median', ...requestReplyLines(result)].join('\n')}\n`,
  )
}

async function measureAdmission(command: Command, say: (text: string) => void): Promise<void> {
  const phases = await benchAdmission({ ...command, seconds: command.seconds ?? 10 }, say)
  process.stdout.write(
    command.json
      ? `${JSON.stringify({ settings: command, phases })}\n`
      : `${admissionLines(phases).join('\n')}\n`,
  )
}

const MEASURES = {
  drain: measureDrain,
  memory: measureMemory,
  consume: measureConsume,
  'waiting-room': measureRoom,
  'request-reply': measureRequestReply,
  admission: measureAdmission,
}

// Leaving by `exit` lets the relay's owner end it; a signal's default would leave it running.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))
