import { SluiceError } from './errors.ts'
import type { KafkaConnection } from './kafka/connection.ts'
import { composeOptions } from './options/compose.ts'
import { readSettings } from './options/settings.ts'

/** Where and how Kafka is reached. `brokers` is empty only when the caller said that Kafka is not needed. */
export interface KafkaOptions extends KafkaConnection {
  readonly client: 'kafkajs' | 'platformatic'
}

export interface HttpOptions {
  readonly host: string
  readonly port: number
  /** The operator named this port. Otherwise any free one will do when it is taken. */
  readonly exact: boolean
}

/** What `sluice admission` alone needs. */
export interface AdmissionOptions {
  readonly http: HttpOptions | null
  /** Of rooms that are made by joining; null: none is. */
  readonly capacity: number | null
  /** The first signs tokens; null: the key that the database keeps. */
  readonly keys: readonly string[] | null
  readonly adminToken: string | null
  /** Of one client address; null: no limit. */
  readonly joinsPerSecond: number | null
  /** Whose X-Forwarded-For is believed. */
  readonly proxies: number
  readonly joinsTopic: string
  /** The consumer group of the granters. */
  readonly group: string
  /** null: changes of sessions are not told. */
  readonly changesTopic: string | null
  readonly retentionMs: number
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/**
 * Every option of the daemon, checked. What too low and too high do, the bounds and the defaults are in
 * `options/table.ts`, from which `--help`, the example file and the README are printed.
 */
export interface Options {
  /** `postgres://…`; may contain a password. '' only when the caller said that no database is needed. */
  readonly databaseUrl: string
  readonly kafka: KafkaOptions
  /** Threads that publish. */
  readonly workers: number
  /** Loops of reserve → publish → confirm, each over its own lanes. */
  readonly slots: number
  /** Rows of one reservation, at most. */
  readonly batchSize: number
  /** Payload bytes of one reservation, at most. */
  readonly batchBytesMax: number
  /** Length of a lane's lease. */
  readonly reserveMs: number
  /** Until when a batch must be answered by the brokers; at most half of `reserveMs`. */
  readonly publishTimeoutMs: number
  /** Longest pause between two polls of an idle outbox. */
  readonly pollMs: number
  /** How long published events are kept; 0: they are deleted when they are confirmed. */
  readonly retentionMs: number
  /** Failures of an event, through its own fault, after which it becomes a dead letter. */
  readonly attemptsMax: number
  readonly retryBaseMs: number
  readonly retryMaxMs: number
  /** Whether writers wake a relay that sleeps. */
  readonly doorbell: 'auto' | 'on' | 'off'
  /** Where dead letters are published too; null: nowhere. */
  readonly deadLetterTopic: string | null
  /** Topics whose keys stop at a dead letter; `*` for all. */
  readonly blockingTopics: readonly string[]
  /** Largest record batch sent to a broker. */
  readonly messageBytesMax: number
  /** How often an open breaker is probed. */
  readonly breakerResetMs: number
  /** How long a stop waits for what is in flight. */
  readonly shutdownGraceMs: number
  /** null: no HTTP server. */
  readonly http: HttpOptions | null
  readonly logLevel: LogLevel
  readonly admission: AdmissionOptions
}

/** What a command cannot do without; the rest may then be absent. */
export type Need = 'database' | 'kafka'

/**
 * Reads all options: `overrides`, then the environment, then the file that SLUICE_CONFIG names, then defaults.
 *
 * @param overrides typed values that win over everything, held to the same bounds
 * @param needs what must be given; by default the database and Kafka
 * @returns frozen, through and through
 * @throws SluiceError code `options` that lists every fault found, and never a secret's value
 */
export function loadOptions(
  env: Readonly<Record<string, string | undefined>>,
  overrides: Partial<Options> = {},
  needs: readonly Need[] = ['database', 'kafka'],
): Readonly<Options> {
  const faults: string[] = []
  const settings = readSettings(env, faults)
  const options = composeOptions(settings, overrides, needs, faults)
  if (faults.length > 0) {
    throw new SluiceError('options', faults.join('\n'), { details: { faults: faults.length } })
  }
  return options
}

const MASK = '***'

/** The options as they may be shown to anyone: secrets masked, PEM texts by their length. */
export function describeOptions(options: Options): Record<string, unknown> {
  const { sasl, tls, ...kafka } = options.kafka
  const { keys, adminToken } = options.admission
  return {
    ...options,
    admission: {
      ...options.admission,
      keys: keys?.map(() => MASK) ?? null,
      adminToken: adminToken && MASK,
    },
    databaseUrl: maskDatabaseUrl(options.databaseUrl),
    kafka: {
      ...kafka,
      ...(sasl && { sasl: { ...sasl, password: MASK } }),
      ...(tls && { tls: describeTls(tls) }),
    },
  }
}

function describeTls(tls: NonNullable<KafkaOptions['tls']>): Record<string, unknown> {
  return {
    ...(tls.ca !== undefined && { ca: `${tls.ca.length} characters of PEM` }),
    ...(tls.cert !== undefined && { cert: `${tls.cert.length} characters of PEM` }),
    ...(tls.key !== undefined && { key: MASK }),
    insecure: tls.insecure ?? false,
  }
}

/** Keeps scheme, user, hosts and database. The query goes: it may hold a password too. */
function maskDatabaseUrl(url: string): string {
  const parts = /^(\w+:\/\/)(?:([^/?#]*)@)?([^/?#]*)(\/[^?#]*)?/.exec(url)
  if (!parts) return url === '' ? '' : MASK
  const [, scheme = '', credentials, hosts = '', database = ''] = parts
  if (credentials === undefined) return `${scheme}${hosts}${database}`
  const user = credentials.split(':')[0]
  return `${scheme}${user}${credentials.includes(':') ? `:${MASK}` : ''}@${hosts}${database}`
}
