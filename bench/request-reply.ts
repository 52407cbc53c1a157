import type { Admin } from 'kafkajs'
import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf } from '../src/demo/relay-process.ts'
import { startParts } from '../src/embedded/parts.ts'
import { pause } from '../src/internal/pause.ts'
import { loadOptions } from '../src/options.ts'
import { until } from '../test/support/until.ts'
import type { Echo } from './echo.ts'
import { openOwnEcho } from './echo-own.ts'
import { openRawEcho } from './echo-raw.ts'

export interface RequestReplyBenchOptions {
  readonly bytes: number
  /** Of each phase. */
  readonly seconds: number
  /** Of the steady phase. */
  readonly ratePerSecond: number
  /** Requests open at once in the last phase. */
  readonly open: number
  readonly partitions: number
  readonly rounds: number
}

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface EchoFigures {
  /** Each request after the reply to the one before. */
  readonly oneByOne: Latency
  /** At a steady rate, from when each request was due. */
  readonly steady: Latency
  /** With many open at once. */
  readonly requestsPerSecond: number
}

export interface RequestReplyRound {
  readonly raw: EchoFigures
  readonly own: EchoFigures
}

const NEVER = new AbortController().signal
const WARM_UP_REQUESTS = 300
const TICK_MS = 1
const TOPIC_DEADLINE_MS = 30_000

/**
 * Asks an echo over one broker: two kafkajs producers and consumers, and a Correspondent with its worker; the order
 * changes from round to round.
 * @param onRound told of each round as it ends
 */
export async function benchRequestReply(
  options: RequestReplyBenchOptions,
  onProgress: (text: string) => void,
  onRound: (round: RequestReplyRound) => void,
): Promise<RequestReplyRound[]> {
  const parts = await startParts({ env: process.env, onProgress })
  try {
    const env = environmentOf(parts, process.env)
    const rounds: RequestReplyRound[] = []
    for (let n = 0; n < options.rounds; n++) {
      const ownFirst = n % 2 === 1
      const first = await playEcho(options, env, ownFirst)
      const second = await playEcho(options, env, !ownFirst)
      const round = ownFirst ? { own: first, raw: second } : { own: second, raw: first }
      onRound(round)
      rounds.push(round)
    }
    return rounds
  } finally {
    await parts.stop()
  }
}

async function playEcho(
  options: RequestReplyBenchOptions,
  env: NodeJS.ProcessEnv,
  isOwn: boolean,
): Promise<EchoFigures> {
  const { kafka: connection } = loadOptions(env, {}, ['kafka'])
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin()
  const name = freshName('bench-echo')
  const { partitions } = options
  const topics = { requests: `${name}-requests`, replies: `${name}-replies`, partitions }
  const names = [topics.requests, topics.replies]
  try {
    await admin.connect()
    await createTopics(admin, names, partitions)
    for (const topic of names) await writable(admin, topic, partitions)
    const echo = isOwn ? await openOwnEcho(connection, topics) : await openRawEcho(kafka, topics)
    try {
      return await measured(echo, options)
    } finally {
      await echo.close()
    }
  } finally {
    await admin.deleteTopics({ topics: names }).catch(() => {}) // they may not have been created
    await disconnect(admin)
  }
}

/** A broker learns of a topic a moment after its creation was answered. */
async function writable(admin: Admin, topic: string, partitions: number): Promise<void> {
  const all = async () => (await admin.fetchTopicOffsets(topic)).length === partitions
  await until(all, { deadlineMs: TOPIC_DEADLINE_MS, what: `${topic} can be written to` })
}

async function measured(
  echo: Echo,
  { bytes, seconds, ratePerSecond, open }: RequestReplyBenchOptions,
): Promise<EchoFigures> {
  const payload = Buffer.alloc(bytes, 'x')
  for (let n = 0; n < WARM_UP_REQUESTS; n++) await echo.ask(payload)
  const oneByOne = latencyOf(await askOneByOne(echo, payload, seconds))
  const steady = latencyOf(await askSteadily(echo, payload, { seconds, ratePerSecond }))
  const requestsPerSecond = await askManyAtOnce(echo, payload, { seconds, open })
  return { oneByOne, steady, requestsPerSecond }
}

async function askOneByOne(echo: Echo, payload: Buffer, seconds: number): Promise<number[]> {
  const tookMs: number[] = []
  const untilMs = performance.now() + seconds * 1_000
  while (performance.now() < untilMs) {
    const fromMs = performance.now()
    await echo.ask(payload)
    tookMs.push(performance.now() - fromMs)
  }
  return tookMs
}

async function askSteadily(
  echo: Echo,
  payload: Buffer,
  { seconds, ratePerSecond }: { readonly seconds: number; readonly ratePerSecond: number },
): Promise<number[]> {
  const tookMs: number[] = []
  const asking: Promise<void>[] = []
  const fromMs = performance.now()
  for (let n = 0; n < seconds * ratePerSecond; n++) {
    const dueMs = fromMs + (n * 1_000) / ratePerSecond
    while (performance.now() < dueMs) await pause(TICK_MS, NEVER)
    const asked = echo.ask(payload).then(() => void tookMs.push(performance.now() - dueMs))
    asking.push(asked)
  }
  await Promise.all(asking)
  return tookMs
}

async function askManyAtOnce(
  echo: Echo,
  payload: Buffer,
  { seconds, open }: { readonly seconds: number; readonly open: number },
): Promise<number> {
  const fromMs = performance.now()
  const untilMs = fromMs + seconds * 1_000
  let replies = 0
  const asking = Array.from({ length: open }, async () => {
    while (performance.now() < untilMs) {
      await echo.ask(payload)
      replies++
    }
  })
  await Promise.all(asking)
  return replies / ((performance.now() - fromMs) / 1_000)
}

function latencyOf(tookMs: number[]): Latency {
  tookMs.sort((a, b) => a - b)
  const at = (share: number) => tookMs[Math.ceil(tookMs.length * share) - 1] ?? 0
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}
