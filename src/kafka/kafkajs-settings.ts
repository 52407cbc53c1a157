import type { RetryOptions } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { KafkaConnection } from './connection.ts'

export interface KafkajsSourceOptions {
  readonly connection: KafkaConnection
  readonly group: string
  readonly topics: readonly string[]
  /** Where a group without a committed offset begins. */
  readonly from: 'earliest' | 'latest'
  /** `create`: with the broker's defaults for partitions and replicas. */
  readonly missingTopic: 'fail' | 'create'
  /** How long `start` may take. */
  readonly joinTimeoutMs: number
  /** Told what kafkajs warns of. */
  readonly log: Log
  readonly tuning?: Partial<KafkajsTuning>
}

export interface KafkajsTuning {
  /** A member that was not heard of for so long is put out of the group. Default 30 s. */
  readonly sessionTimeoutMs: number
  /** How long the group waits for its members to join again. Default 60 s. */
  readonly rebalanceTimeoutMs: number
  /** At least three fit into a session. Default 1 s. */
  readonly heartbeatIntervalMs: number
  /** How long the broker holds back a fetch that finds nothing; a resumed partition waits as long. Default 250 ms. */
  readonly maxWaitMs: number
  /** Of one fetch. Default 1 MiB. */
  readonly maxBytesPerPartition: number
}

export type KafkajsSettings = Omit<KafkajsSourceOptions, 'tuning'> & KafkajsTuning

/** One request to a broker; joining the group may take longer. */
export const REQUEST_TIMEOUT_MS = 10_000

/** Added partitions are found after so long. */
export const METADATA_AGE_MAX_MS = 60_000

/** kafkajs counts all failures since the last rebalance, not those in a row: then it crashes and is replaced. */
export const RETRY: RetryOptions = {
  retries: 8,
  initialRetryTime: 100,
  maxRetryTime: 1_000,
  factor: 0.2,
  multiplier: 2,
}

const DEFAULTS: KafkajsTuning = {
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 60_000,
  heartbeatIntervalMs: 1_000,
  maxWaitMs: 250,
  maxBytesPerPartition: 1_048_576,
}

/** @throws SluiceError `options` */
export function kafkajsSettings({ tuning, ...options }: KafkajsSourceOptions): KafkajsSettings {
  const settings = { ...options, ...DEFAULTS, ...tuning }
  if (settings.group === '') throw new SluiceError('options', 'group is empty: give it a name')
  if (settings.topics.length === 0) {
    throw new SluiceError('options', 'topics is empty: name at least one')
  }
  const { heartbeatIntervalMs, maxWaitMs, sessionTimeoutMs } = settings
  if (3 * Math.max(heartbeatIntervalMs, maxWaitMs) > sessionTimeoutMs) {
    throw new SluiceError(
      'options',
      `sessionTimeoutMs ${sessionTimeoutMs} is less than three times heartbeatIntervalMs or maxWaitMs: raise it`,
    )
  }
  return Object.freeze(settings)
}
