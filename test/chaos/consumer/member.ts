/** One member of a consumer group, as a process of its own: node --import tsx member.ts, with CHAOS_MEMBER. */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Kit from '../../../src/consumer/index.ts'
import { describeError } from '../../../src/errors.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { ConsumerHappening } from './history.ts'
import { MemberHandlers } from './member-handlers.ts'
import type { Death, MemberAnswer, MemberOrder, MemberSpec } from './member-spec.ts'
import type { Instruction } from './message-plan.ts'

const JOIN_AGAIN_MS = 500
const TIMELY_MS = 5_000
const BATCH_SIZE = 50
/** Where a member stands when its bus tells this. */
const POINTS: Partial<Record<Kit.ConsumerEvent['kind'], Death>> = {
  delivered: 'after_commit',
  committed: 'after_offset_commit',
  tasks_claimed: 'after_claim',
  not_done: 'after_failure',
  task_ended: 'after_task',
  joined: 'after_join',
}

const spec = JSON.parse(process.env.CHAOS_MEMBER ?? '{}') as MemberSpec
const kit = (await import(
  pathToFileURL(join(spec.root, 'src/consumer/index.ts')).href
)) as typeof Kit
const log = openSync(spec.logFile, 'a')
const stopping = new AbortController()
const counts = new Map<string, number>()
let death: Death | null = null
let subscription: Kit.Subscription | null = null
let turn: Promise<void> = Promise.resolve()

const handlers = new MemberHandlers({ kit, spec, tell, dieIf })
const bus = kit.createBus({
  databaseUrl: spec.databaseUrl,
  kafka: { brokers: spec.brokers, clientId: spec.name },
  controlTopic: spec.controlTopic,
  listeners: [heard],
  dependencies: {
    mail: { resetMs: 200, resetMaxMs: 1_000, probe: async () => handlers.askMail() },
  },
})

process.on('message', (order: MemberOrder) => {
  if (order.order === 'die') death = order.at
  else turn = turn.then(() => obey(order))
})
process.on('SIGTERM', () => void stop())
process.on('disconnect', () => process.exit(1))
turn = turn.then(() => obey({ order: 'join' }))

/** Written at once, so that a process that is killed has told all. */
function tell(happening: ConsumerHappening): void {
  writeSync(log, `${JSON.stringify(happening)}\n`)
}

/** For people. */
function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`)
}

function dieIf(at: Death): void {
  if (death === at) process.kill(process.pid, 'SIGKILL')
}

function answer(told: MemberAnswer): void {
  process.send?.(told)
}

async function obey({ order }: MemberOrder): Promise<void> {
  try {
    if (order === 'join') await joinGroup()
    if (order === 'leave') {
      await subscription?.stop({ timeoutMs: TIMELY_MS })
      subscription = null
      answer('left')
    }
    if (order === 'hold') {
      await subscription?.pause({}, { reason: 'the campaign' })
      answer(subscription ? 'held' : 'failed')
    }
    if (order === 'resume') {
      await subscription?.resume({})
      answer(subscription ? 'resumed' : 'failed')
    }
  } catch (error) {
    say(describeError(error))
    answer('failed')
  }
}

async function joinGroup(): Promise<void> {
  while (!stopping.signal.aborted && subscription === null) {
    try {
      subscription = await subscribe()
      const ended = subscription
      ended.completed.catch(error => {
        say(`the subscription has ended: ${describeError(error)}`)
        count('ended_by_itself')
      })
    } catch (error) {
      say(describeError(error))
      await pause(JOIN_AGAIN_MS, stopping.signal)
    }
  }
  answer('joined')
}

function subscribe(): Promise<Kit.Subscription> {
  const options: Kit.SubscribeOptions<Instruction> = {
    group: spec.group,
    topics: spec.topics,
    codec: kit.jsonCodec(),
    retry: { baseMs: 100, maxMs: 400 },
    attemptsMax: spec.attemptsMax,
    deadLetterTopic: spec.deadLetterTopic,
    ...(spec.troubled && { needs: ['mail'] }),
  }
  return spec.inBatches
    ? bus.subscribeBatch({ ...options, batchSize: BATCH_SIZE }, handlers.many)
    : bus.subscribe(options, handlers.one)
}

async function stop(): Promise<void> {
  stopping.abort()
  await bus.close()
  for (const [what, times] of counts) {
    tell({ kind: 'told', atMs: Date.now(), ...own(), what, count: times })
  }
  process.exit(0)
}

function own() {
  return { group: spec.group, member: spec.name }
}

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1)
  // What must not be lost with the process.
  if (['repaired', 'crashed', 'out_of_range', 'ended_by_itself'].includes(what)) {
    tell({ kind: 'told', atMs: Date.now(), ...own(), what: `at_once_${what}`, count: 1 })
  }
}

function heard(event: Kit.ConsumerEvent): void {
  count(event.kind)
  if (event.kind === 'crashed' || event.kind === 'store_failed' || event.kind === 'commit_failed') {
    say(`${event.kind} ${describeError(event.error)}`)
  }
  const point = POINTS[event.kind]
  if (point) dieIf(point)
}
