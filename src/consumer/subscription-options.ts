import { SluiceError } from '../errors.ts'
import { shapeOf } from '../outbox/new-event.ts'
import { topicFault } from '../outbox/topic-name.ts'
import type { BatchOptions, SubscribeOptions } from './bus.ts'
import { HEADERS, headerText } from './message.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

/** Timers of Node count in 32 bits. */
const TIMER_MS_MAX = 2 ** 31 - 1
const COUNT_MAX = 1_000_000_000
const GROUP_CHARS_MAX = 255
const BATCH_SIZE_MAX = 10_000
const CONCURRENCY_MAX = 1_000

const FIELDS: Readonly<Record<keyof (SubscribeOptions & BatchOptions), true>> = {
  group: true,
  topics: true,
  codec: true,
  envelope: true,
  order: true,
  concurrency: true,
  dedup: true,
  retry: true,
  attemptsMax: true,
  ttlMs: true,
  handlerTimeoutMs: true,
  classify: true,
  needs: true,
  onBad: true,
  deadLetterTopic: true,
  missingTopic: true,
  from: true,
  redeliver: true,
  limits: true,
  inboxRetentionMs: true,
  listener: true,
  joinTimeoutMs: true,
  batchSize: true,
}

const ENVELOPE: SubscriptionSettings['envelope'] = {
  id: record => headerText(record, HEADERS.eventId),
  type: record => headerText(record, HEADERS.eventType),
}

/**
 * Every option with its default in place.
 * @throws SluiceError `options`, which names the field, what was given, and what to give
 */
export function settingsOf<T>(options: SubscribeOptions<T>): SubscriptionSettings<T> {
  object('subscribe options', options)
  const unknown = Object.keys(options).find(name => !Object.hasOwn(FIELDS, name))
  if (unknown !== undefined) {
    refuse(unknown, 'is not an option', `use ${Object.keys(FIELDS).join(', ')}`)
  }
  const group = groupOf(options.group)
  const topics = topicsOf(options.topics)
  const order = oneOf('order', options.order, ['key', 'partition', 'none'])
  const redeliver = oneOf('redeliver', options.redeliver, ['inPlace', 'reproduce'])
  return Object.freeze({
    group,
    topics,
    ...readingOf(options),
    order,
    concurrency: whole('concurrency', options.concurrency, 8, 1, CONCURRENCY_MAX),
    dedup: oneOf('dedup', options.dedup, ['inbox', 'none']),
    retry: retryOf(options.retry),
    attemptsMax: whole('attemptsMax', options.attemptsMax, 10, 1, COUNT_MAX),
    ttlMs: wholeOrNull('ttlMs', options.ttlMs, 0),
    handlerTimeoutMs: whole('handlerTimeoutMs', options.handlerTimeoutMs, 60_000, 1, TIMER_MS_MAX),
    classify: functionOf('classify', options.classify) ?? (() => undefined),
    needs: needsOf(options.needs),
    onBad: oneOf('onBad', options.onBad, ['deadLetter', 'log']),
    deadLetterTopic: deadLetterTopicOf(options.deadLetterTopic),
    missingTopic: oneOf('missingTopic', options.missingTopic, ['fail', 'create']),
    from: oneOf('from', options.from, ['earliest', 'latest']),
    redeliver,
    retryTopic: redeliver === 'reproduce' ? retryTopicOf(topics, group, order) : null,
    limits: limitsOf(options.limits),
    inboxRetentionMs: wholeOrNull('inboxRetentionMs', options.inboxRetentionMs, 1),
    listener: listenerOf(options.listener),
    joinTimeoutMs: whole('joinTimeoutMs', options.joinTimeoutMs, 60_000, 1, TIMER_MS_MAX),
  })
}

/** @throws SluiceError `options` */
export function batchSizeOf({ batchSize }: BatchOptions): number {
  return whole('batchSize', batchSize, 500, 1, BATCH_SIZE_MAX)
}

function groupOf(group: unknown): string {
  const value = text('group', group, 'give the name of a consumer group')
  if (value.length > GROUP_CHARS_MAX) {
    refuse('group', `is ${shapeOf(value)}`, `give at most ${GROUP_CHARS_MAX}`)
  }
  // A NUL cannot be stored; other control characters only hide in lists and logs.
  if (/\p{Cc}/u.test(value)) refuse('group', 'holds a control character', 'remove it')
  return value
}

function topicsOf(topics: unknown): readonly string[] {
  if (!Array.isArray(topics) || topics.length === 0) {
    return refuse('topics', `is ${shapeOf(topics)}`, 'give an array with at least one topic')
  }
  const names = topics.map((topic, index) => topicOf(`topics[${index}]`, topic))
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (twice >= 0) refuse(`topics[${twice}]`, 'is there twice', 'name each topic once')
  return Object.freeze(names)
}

function topicOf(field: string, topic: unknown): string {
  const name = text(field, topic, 'give the name of a topic')
  const fault = topicFault(name)
  return fault === null ? name : refuse(field, fault, 'give a legal Kafka topic name')
}

function readingOf<T>({ codec, envelope = ENVELOPE }: SubscribeOptions<T>) {
  if (typeof codec?.decode !== 'function') {
    refuse('codec', `is ${shapeOf(codec)}`, 'give an object with decode(value, record)')
  }
  if (typeof envelope?.id !== 'function' || typeof envelope.type !== 'function') {
    refuse('envelope', `is ${shapeOf(envelope)}`, 'give an object with id(record) and type(record)')
  }
  return { codec, envelope }
}

function retryOf(retry: unknown): SubscriptionSettings['retry'] {
  const { baseMs, maxMs } = object('retry', retry ?? {})
  const base = whole('retry.baseMs', baseMs, 1_000, 0, TIMER_MS_MAX)
  const max = whole('retry.maxMs', maxMs, Math.max(300_000, base), 0, TIMER_MS_MAX)
  if (max < base) {
    refuse('retry.maxMs', `is ${max}, below retry.baseMs ${base}`, 'give at least as much')
  }
  return Object.freeze({ baseMs: base, maxMs: max })
}

function limitsOf(limits: unknown): SubscriptionSettings['limits'] {
  const { perKey, perGroup } = object('limits', limits ?? {})
  return Object.freeze({
    perKey: whole('limits.perKey', perKey, 10_000, 1, COUNT_MAX),
    perGroup: whole('limits.perGroup', perGroup, 1_000_000, 1, COUNT_MAX),
  })
}

function needsOf(needs: unknown): readonly string[] {
  if (needs === undefined) return Object.freeze([])
  if (!Array.isArray(needs)) {
    return refuse('needs', `is ${shapeOf(needs)}`, 'give an array of names of dependencies')
  }
  const names = needs.map((name, index) =>
    text(`needs[${index}]`, name, 'give the name of a dependency'),
  )
  return Object.freeze([...new Set(names)])
}

function deadLetterTopicOf(topic: unknown): string | null {
  return topic === undefined || topic === null ? null : topicOf('deadLetterTopic', topic)
}

function retryTopicOf(topics: readonly string[], group: string, order: string): string {
  if (order !== 'none') {
    refuse(
      'redeliver',
      `is 'reproduce' with order '${order}'`,
      "a reproduced message comes after later ones: give order: 'none', or redeliver: 'inPlace'",
    )
  }
  const name = `${topics[0]}.${group}.retry`
  const fault = topicFault(name)
  if (fault === null) return name
  return refuse(
    'redeliver',
    `needs a topic <topic>.<group>.retry whose name ${fault}`,
    "choose a shorter group of a-z A-Z 0-9 . _ -, or redeliver: 'inPlace'",
  )
}

function listenerOf(listener: unknown): SubscriptionSettings['listener'] {
  const { assigned, revoked } = object('listener', listener ?? {})
  functionOf('listener.assigned', assigned)
  functionOf('listener.revoked', revoked)
  return (listener ?? {}) as SubscriptionSettings['listener']
}

function oneOf<const V extends string>(field: string, value: unknown, values: readonly V[]): V {
  if (value === undefined) return values[0] as V
  if ((values as readonly unknown[]).includes(value)) return value as V
  return refuse(field, `is ${shapeOf(value)}`, `give one of '${values.join("', '")}'`)
}

function whole(field: string, value: unknown, byDefault: number, min: number, max: number): number {
  if (value === undefined) return byDefault
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number
  }
  const shape = typeof value === 'number' ? String(value) : shapeOf(value)
  return refuse(field, `is ${shape}`, `give a whole number from ${min} to ${max}`)
}

function wholeOrNull(field: string, value: unknown, min: number): number | null {
  return value === undefined ? null : whole(field, value, min, min, Number.MAX_SAFE_INTEGER)
}

function text(field: string, value: unknown, cure: string): string {
  if (typeof value === 'string' && value !== '') return value
  return refuse(field, value === '' ? 'is empty' : `is ${shapeOf(value)}`, cure)
}

function functionOf<F>(field: string, value: F): F {
  if (value === undefined || typeof value === 'function') return value
  return refuse(field, `is ${shapeOf(value)}`, 'give a function, or leave it out')
}

function object(field: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  return refuse(field, `is ${shapeOf(value)}`, 'give an object')
}

function refuse(field: string, complaint: string, cure: string): never {
  throw new SluiceError('options', `${field} ${complaint}: ${cure}`, { details: { field } })
}
