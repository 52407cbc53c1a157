import type { ConsumerEvent, ConsumerListener } from '../consumer/consumer-events.ts'
import type { TopicPartition } from '../consumer/record-source.ts'
import { type ConsumerLogCode, logCode } from './consumer-log-codes.ts'
import type { Log } from './log.ts'
import { Outages } from './outages.ts'

type EventOf<K extends ConsumerEvent['kind']> = Extract<ConsumerEvent, { kind: K }>

/**
 * Turns what a subscription tells into log lines, each with its code: state changes at info, what needs eyes at warn,
 * single records only at debug. An outage is told at its start, at its end and once a minute.
 *
 * @param clock monotonic milliseconds
 */
export function logConsumerEvents(log: Log, clock?: () => number): ConsumerListener {
  return new ConsumerLog(log, new Outages(clock)).listener
}

class ConsumerLog {
  readonly #log: Log
  readonly #outages: Outages

  constructor(log: Log, outages: Outages) {
    this.#log = log
    this.#outages = outages
  }

  readonly listener: ConsumerListener = event => {
    switch (event.kind) {
      case 'joined':
        this.#end(event, `crash:${event.group}`, 'TWRI_GROUP_06')
        return this.#say('TWRI_GROUP_01', event)
      case 'revoked':
        return this.#say(revokedCode(event), event)
      case 'crashed':
        return this.#fail(event, `crash:${event.group}`, 'TWRE_GROUP_05')
      case 'out_of_range':
        return this.#say('TWRE_GROUP_09', event)
      case 'paused':
        return this.#say(event.partitions.length > 0 ? 'TWRI_GROUP_07' : 'TWRI_GROUP_08', event)
      case 'delivered':
        this.#storeWorks(event)
        return this.#say('TWRD_DELIV_01', event)
      case 'not_done':
        return this.#say(NOT_DONE[event.outcome.kind], event)
      case 'dead':
        return this.#say('TWRW_DELIV_07', event)
      case 'dependency_changed':
        return this.#dependency(event)
      case 'commit_failed':
        return this.#fail(event, `commit:${event.group}`, 'TWRW_COMMIT_01')
      case 'committed':
        this.#end(event, `commit:${event.group}`, 'TWRI_COMMIT_02')
        return this.#say('TWRD_COMMIT_03', event)
      default:
        return this.#room(event)
    }
  }

  #room(event: RoomEvent): void {
    switch (event.kind) {
      case 'store_failed':
        this.#fail(event, `store:${event.group}`, 'TWRW_ROOM_01')
        break
      case 'tasks_claimed':
        this.#storeWorks(event)
        if (event.tasks > 0) this.#say('TWRD_TASK_01', event)
        break
      case 'task_ended':
        this.#storeWorks(event)
        this.#say('TWRD_TASK_02', event)
        break
      case 'task_fenced':
        this.#say('TWRW_TASK_03', event)
        break
      case 'repaired':
        this.#say('TWRE_ROOM_03', event)
        break
      case 'swept':
        this.#say(event.expired > 0 ? 'TWRI_ROOM_04' : 'TWRD_ROOM_05', event)
        break
      case 'command_applied':
        this.#say('TWRI_CTRL_01', event)
        break
      case 'bad_command':
        this.#say('TWRW_CTRL_02', event)
    }
  }

  /** A probe that fails opens the breaker again: that is still the same outage. */
  #dependency(event: EventOf<'dependency_changed'>): void {
    const name = `dependency:${event.dependency}`
    if (event.state === 'half_open') this.#say('TWRD_DEP_02', event)
    else if (event.state === 'open') this.#fail(event, name, 'TWRW_DEP_01')
    else this.#say('TWRI_DEP_03', event, this.#outages.end(name))
  }

  #storeWorks(event: ConsumerEvent & { readonly group: string }): void {
    this.#end(event, `store:${event.group}`, 'TWRI_ROOM_02')
  }

  #fail(event: ConsumerEvent, name: string, code: ConsumerLogCode): void {
    const outage = this.#outages.fail(name)
    if (outage) this.#say(code, event, outage)
  }

  #end({ group }: { readonly group: string }, name: string, code: ConsumerLogCode): void {
    const ended = this.#outages.end(name)
    if (ended) logCode(this.#log, code, { group, ...ended })
  }

  #say(code: ConsumerLogCode, event: ConsumerEvent, more: object | null = null): void {
    logCode(this.#log, code, { ...factsOf(event), ...more })
  }
}

type RoomEvent = EventOf<
  | 'store_failed'
  | 'tasks_claimed'
  | 'task_ended'
  | 'task_fenced'
  | 'repaired'
  | 'swept'
  | 'command_applied'
  | 'bad_command'
>

const NOT_DONE = {
  retry: 'TWRD_DELIV_02',
  hold: 'TWRW_DELIV_03',
  bad: 'TWRD_DELIV_04',
  down: 'TWRD_DELIV_05',
  drop: 'TWRD_DELIV_06',
} as const

function revokedCode({ why, drained }: EventOf<'revoked'>): ConsumerLogCode {
  if (why === 'lost') return 'TWRW_GROUP_04'
  return drained ? 'TWRI_GROUP_02' : 'TWRW_GROUP_03'
}

/** JSON has no bigint; partitions and offsets become short texts, because a line with hundreds would hide what it says. */
function factsOf(event: ConsumerEvent): object {
  const { kind: _, ...facts } = event
  return {
    ...facts,
    ...('offset' in facts && { offset: String(facts.offset) }),
    ...('position' in facts && { position: String(facts.position) }),
    ...('partitions' in facts && { partitions: partitionsText(facts.partitions) }),
    ...('offsets' in facts && {
      offsets: facts.offsets.map(each => `${each.topic}/${each.partition}=${each.offset}`).join(),
    }),
  }
}

/** `orders: 0-3,7; mail: 1` */
function partitionsText(partitions: readonly TopicPartition[]): string {
  const byTopic = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
  }
  return [...byTopic].map(([topic, numbers]) => `${topic}: ${rangesOf(numbers)}`).join('; ')
}

function rangesOf(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.to === number - 1) last.to = number
    else ranges.push({ from: number, to: number })
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join()
}
