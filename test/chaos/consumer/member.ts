/** One member of a consumer group, as a process of its own: node --import tsx member.ts, with CHAOS_MEMBER. */
import { existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Kit from '../../../src/consumer/index.ts'
import { describeError } from '../../../src/errors.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { ConsumerHappening, Decision } from './history.ts'
import type { Death, MemberAnswer, MemberOrder, MemberSpec } from './member-spec.ts'
import type { Instruction } from './message-plan.ts'

const JOIN_AGAIN_MS = 500
const TIMELY_MS = 5_000
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
let runs = 0
let subscription: Kit.Subscription | null = null
let turn: Promise<void> = Promise.resolve()

const bus = kit.createBus({
  databaseUrl: spec.databaseUrl,
  kafka: { brokers: spec.brokers, clientId: spec.name },
  controlTopic: spec.controlTopic,
  listeners: [heard],
  dependencies: {
    mail: { resetMs: 200, resetMaxMs: 1_000, probe: async () => askMail() },
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

function askMail(): void {
  if (existsSync(spec.mailDownFile)) throw new Error('503')
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
      subscription = await bus.subscribe<Instruction>(
        {
          group: spec.group,
          topics: spec.topics,
          codec: kit.jsonCodec(),
          retry: { baseMs: 100, maxMs: 400 },
          attemptsMax: spec.attemptsMax,
          deadLetterTopic: spec.deadLetterTopic,
          ...(spec.troubled && { needs: ['mail'] }),
        },
        handle,
      )
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

async function handle(message: Kit.Message<Instruction>, context: Kit.Context) {
  const run = `${spec.name}#${++runs}`
  const { id: messageId, topic, partition } = message
  const offset = String(message.offset)
  const { attempt } = context
  tell({
    ...{ kind: 'run', atMs: Date.now(), group: spec.group, run, messageId },
    ...{ topic, partition, offset, attempt },
  })
  const end = (decision: Decision, againAtMs: number | null = null) =>
    tell({ kind: 'run_ended', atMs: Date.now(), run, decision, againAtMs })
  try {
    await effect(message, context, run)
  } catch (error) {
    end(error instanceof kit.DependencyDown ? 'down' : 'broken')
    throw error
  }
  if (context.signal.aborted) {
    end('broken')
    throw new Error('told to leave')
  }
  return decide(message.value, attempt, end)
}

async function effect(
  { id, key, topic, value: { n, act, amount } }: Kit.Message<Instruction>,
  context: Kit.Context,
  run: string,
): Promise<void> {
  await context.sql`
    insert into chaos.effects (group_id, topic, key, n, message_id, run, attempt, started_at)
    values (${spec.group}, ${topic}, ${key}, ${n}, ${id}, ${run}, ${context.attempt}, clock_timestamp())`
  dieIf('in_handler')
  if (act === 'killer') process.kill(process.pid, 'SIGKILL')
  if (spec.troubled) {
    await context.call('mail', async () => askMail())
    if (act === 'slow') await pause(amount, context.signal)
  }
  await context.publish({
    messageKey: () => id,
    messageData: () => ({ group: spec.group, messageId: id }),
    topicName: () => spec.effectsTopic,
    eventType: () => 'Effect',
  })
  if (death === 'before_commit') setImmediate(() => dieIf('before_commit'))
}

/** What the message wants, after its effects: all but `done` must undo them. */
function decide(
  { act, amount }: Instruction,
  attempt: number,
  end: (decision: Decision, againAtMs?: number) => void,
): Kit.Outcome {
  if (act === 'poison') {
    end('bad')
    throw new kit.BadMessage('poison')
  }
  if (spec.troubled) {
    if (act === 'doomed' || (act === 'flaky' && attempt <= amount)) {
      end('retry')
      throw new Error(act)
    }
    if (act === 'bug' && attempt === 1) {
      end('bug')
      return (undefined as unknown as { outcome: () => Kit.Outcome }).outcome()
    }
    if (act === 'retry_at' && attempt === 1) {
      const again = new Date(Date.now() + amount)
      end('retry_at', again.getTime())
      throw new kit.RetryAt(again, 'later')
    }
    if (act === 'hold' && attempt === 1) {
      end('hold')
      return { kind: 'hold', reason: 'the campaign' }
    }
  }
  end('done')
  return kit.DONE
}
