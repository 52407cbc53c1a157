import { SluiceError } from '../errors.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import type { KafkajsTuning } from '../kafka/kafkajs-settings.ts'
import { loadOptions } from '../options.ts'
import * as check from './config-checks.ts'
import { binary_frames, type FrameCodec } from './frame-codec.ts'

/** One name for each topic_type. */
export interface TopicNames {
  readonly worker: string
  readonly reply_to: string
}

export interface TopicCreation {
  readonly partitions: number
  readonly replication_factor: number
}

export interface ConfigOptions {
  readonly connection: KafkaConnection
  /** Default `worker` and `reply_to`. They must differ. */
  readonly topics?: Partial<TopicNames>
  /** Consumer groups. Default `worker` and `reply_to`. */
  readonly groups?: Partial<TopicNames>
  /** Other topics that a worker may send replies to; a request cannot make it write anywhere else. Default none. */
  readonly reply_topics?: readonly string[]
  /** How missing topics are made; null: they are not, and their lack is an error. Default null. */
  readonly create_topics?: TopicCreation | null
  /**
   * `shared`: the instances share the reply partitions, each reads its own; a request fails when the partition of its
   * reply moves to another instance. `instance`: each one has a group of its own and reads all partitions, so that
   * others coming and going does not concern it; each reply is then read by every instance. Default `shared`.
   */
  readonly reply_group?: 'shared' | 'instance'
  /** Frames received that may wait; with more, partitions are not read. Default 1,000. */
  readonly frames_max?: number
  /** Their bytes. Default 16 MiB. */
  readonly frames_bytes_max?: number
  /** Requests that may be open at once; with more, `request` fails. Default 10,000. */
  readonly requests_max?: number
  /** Frames being sent at once; with more, `send` waits. Default 10,000. */
  readonly sends_max?: number
  /** How long `connect` may take. Default 30 s. */
  readonly connect_timeout_ms?: number
  /** How long a `send` may take. Default 10 s. */
  readonly publish_timeout_ms?: number
  /** How long closing waits for what is in work. Default 10 s. */
  readonly drain_timeout_ms?: number
  /** Default: the binary layout of AirCoreFrame. */
  readonly frame_codec?: FrameCodec
  /** Of the consumers' sessions. */
  readonly tuning?: Partial<KafkajsTuning>
}

export type SharedOptions = Omit<ConfigOptions, 'connection'>

export interface LocalOptions extends SharedOptions {
  /** Default `127.0.0.1:9092`. */
  readonly brokers?: readonly string[]
  /** Default `sluice-pubsub`. */
  readonly client_id?: string
}

export interface ManagedOptions extends SharedOptions {
  /** `host:port` each, of the listener for TLS and SASL; 9096 with AWS MSK. */
  readonly brokers: readonly string[]
  readonly username: string
  readonly password: string
  /** Upper or lower case. Default SCRAM-SHA-512, the one of AWS MSK. */
  readonly mechanism?: string
  /** PEM text of the authority. Default: the system's authorities. */
  readonly ca?: string
  /** Default `sluice-pubsub`. */
  readonly client_id?: string
}

const CLIENT_ID = 'sluice-pubsub'
const TIMEOUT_MS_MAX = 2 ** 31 - 1
const MASK = '***'
const OPTIONS: Readonly<Record<keyof ConfigOptions, true>> = {
  connection: true,
  topics: true,
  groups: true,
  reply_topics: true,
  create_topics: true,
  reply_group: true,
  frames_max: true,
  frames_bytes_max: true,
  requests_max: true,
  sends_max: true,
  connect_timeout_ms: true,
  publish_timeout_ms: true,
  drain_timeout_ms: true,
  frame_codec: true,
  tuning: true,
}

/** Where Kafka is, what the topics are called, and what is kept to. Frozen; its password is never printed. */
export class config {
  readonly connection: KafkaConnection
  readonly topics: TopicNames
  readonly groups: TopicNames
  readonly reply_topics: readonly string[]
  readonly create_topics: TopicCreation | null
  readonly reply_group: 'shared' | 'instance'
  readonly frames_max: number
  readonly frames_bytes_max: number
  readonly requests_max: number
  readonly sends_max: number
  readonly connect_timeout_ms: number
  readonly publish_timeout_ms: number
  readonly drain_timeout_ms: number
  readonly frame_codec: FrameCodec
  readonly tuning: Partial<KafkajsTuning>

  /** @throws SluiceError `options` that names the field, the value's shape and the cure */
  constructor(options: ConfigOptions) {
    check.knownKeys(options, OPTIONS)
    const { topics, groups, reply_topics = [], create_topics = null } = options
    const timeout = (field: 'connect_timeout_ms' | 'publish_timeout_ms', fallback: number) =>
      check.wholeNumber(field, options[field] ?? fallback, 1, TIMEOUT_MS_MAX)
    this.connection = check.connection(options.connection)
    this.topics = namesOf('topics', topics, check.topicName)
    if (this.topics.worker === this.topics.reply_to) {
      throw new SluiceError('options', 'topics.worker and topics.reply_to are the same: name two')
    }
    this.groups = namesOf('groups', groups, check.groupName)
    this.reply_topics = Object.freeze(
      reply_topics.map(each => check.topicName('reply_topics', each)),
    )
    this.create_topics = create_topics === null ? null : creationOf(create_topics)
    this.reply_group = replyGroupOf(options.reply_group ?? 'shared')
    this.frames_max = check.wholeNumber('frames_max', options.frames_max ?? 1_000, 1, 1_000_000)
    const bytes = options.frames_bytes_max ?? 16 * 2 ** 20
    this.frames_bytes_max = check.wholeNumber('frames_bytes_max', bytes, 1, 2 ** 40)
    this.requests_max = check.wholeNumber('requests_max', options.requests_max ?? 10_000, 1, 1e6)
    this.sends_max = check.wholeNumber('sends_max', options.sends_max ?? 10_000, 1, 1e6)
    this.connect_timeout_ms = timeout('connect_timeout_ms', 30_000)
    this.publish_timeout_ms = timeout('publish_timeout_ms', 10_000)
    const drain = options.drain_timeout_ms ?? 10_000
    this.drain_timeout_ms = check.wholeNumber('drain_timeout_ms', drain, 0, TIMEOUT_MS_MAX)
    this.frame_codec = frameCodecOf(options.frame_codec ?? binary_frames)
    this.tuning = Object.freeze({ ...options.tuning })
    Object.freeze(this)
  }

  /** A broker on this machine, without TLS; missing topics are made, with three partitions. @throws SluiceError `options` */
  static local(options: LocalOptions = {}): config {
    const { brokers = ['127.0.0.1:9092'], client_id = CLIENT_ID, ...shared } = options
    return new config({
      create_topics: { partitions: 3, replication_factor: 1 },
      ...shared,
      connection: { brokers, clientId: client_id },
    })
  }

  /**
   * A cluster that is reached over TLS with a user's name and password, such as AWS MSK with SASL/SCRAM.
   * @throws SluiceError `options`
   */
  static managed(options: ManagedOptions): config {
    const { brokers, username, password, ca, client_id = CLIENT_ID, ...rest } = options
    const { mechanism: given = 'SCRAM-SHA-512', ...shared } = rest
    const mechanism = check.mechanism(given)
    const sasl = { mechanism, username, password }
    if (ca !== undefined && !String(ca).includes('-----BEGIN ')) {
      check.refuse('ca', 'the PEM text of an authority', ca)
    }
    const tls = ca === undefined ? {} : { ca }
    return new config({ ...shared, connection: { brokers, clientId: client_id, sasl, tls } })
  }

  /** The cluster that KAFKA_BROKERS, KAFKA_SASL_* and KAFKA_TLS* name. @throws SluiceError `options` */
  static from_env(
    env: Readonly<Record<string, string | undefined>> = process.env,
    options: SharedOptions = {},
  ): config {
    return new config({ ...options, connection: loadOptions(env, {}, ['kafka']).kafka })
  }

  /** Without secrets. */
  toJSON(): object {
    const { sasl, tls, ...connection } = this.connection
    const shown = {
      ...connection,
      ...(sasl && { sasl: { ...sasl, password: MASK } }),
      ...(tls && { tls: { ...tls, ...(tls.key !== undefined && { key: MASK }) } }),
    }
    return { ...this, connection: shown }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): object {
    return this.toJSON()
  }
}

function namesOf(
  field: string,
  given: Partial<TopicNames> | undefined,
  checked: (field: string, value: unknown) => string,
): TopicNames {
  const { worker = 'worker', reply_to = 'reply_to' } = given ?? {}
  return Object.freeze({
    worker: checked(`${field}.worker`, worker),
    reply_to: checked(`${field}.reply_to`, reply_to),
  })
}

function creationOf({ partitions, replication_factor }: TopicCreation): TopicCreation {
  return Object.freeze({
    partitions: check.wholeNumber('create_topics.partitions', partitions, 1, 10_000),
    replication_factor: check.wholeNumber(
      'create_topics.replication_factor',
      replication_factor,
      1,
      100,
    ),
  })
}

function replyGroupOf(given: unknown): 'shared' | 'instance' {
  if (given === 'shared' || given === 'instance') return given
  return check.refuse('reply_group', "'shared' or 'instance'", given)
}

function frameCodecOf(given: FrameCodec): FrameCodec {
  const whole = typeof given?.encode === 'function' && typeof given.decode === 'function'
  return whole ? given : check.refuse('frame_codec', 'an object with encode and decode', given)
}
