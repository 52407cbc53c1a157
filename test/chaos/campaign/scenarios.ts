import type { CampaignOptions } from './campaign.ts'
import type { Limits } from './history.ts'

/** A short campaign, tuned so that one kind of mistake shows soon. */
export type Scenario = Pick<
  CampaignOptions,
  | 'seed'
  | 'durationMs'
  | 'faults'
  | 'faultEveryMs'
  | 'leaseMs'
  | 'retention'
  | 'transactionsPerSecond'
> & { readonly env?: NodeJS.ProcessEnv }

/** Half a minute on a machine that does other things too proves no time: only what is far too slow counts. */
export const LAX_LIMITS: Limits = {
  takeoverBeyondLeaseMs: 10_000,
  recoveryMs: 15_000,
  stopMs: 9_500,
}

const calm: Scenario = {
  seed: 7,
  durationMs: 7_000,
  faults: [],
  faultEveryMs: 1_000,
  // Where no fault excuses a duplicate, a busy machine must not make one by a publish time-out of half a lease.
  leaseMs: 30_000,
  retention: true,
  transactionsPerSecond: 60,
}

export const scenarios = {
  /** Every kind of content, no fault at all: whatever is wrong then is wrong always. */
  calm,
  /** As `calm`, with confirms that delete. */
  calm_deleting: { ...calm, retention: false },
  /** Deaths and stand-stills beyond the lease. */
  replicas: {
    ...calm,
    durationMs: 14_000,
    faults: ['replica_killed', 'replica_paused'],
    faultEveryMs: 2_000,
    leaseMs: 3_000,
    retention: false,
  },
  /** Stops in good order, which excuse no duplicate. */
  stops: { ...calm, durationMs: 12_000, faults: ['replica_stopped'], faultEveryMs: 2_500 },
  /** Answers that do not come, or come for what nobody waits for any more. */
  kafka: {
    ...calm,
    durationMs: 14_000,
    faults: ['kafka_answers_swallowed', 'kafka_black_hole', 'kafka_reset', 'broker_frozen'],
    faultEveryMs: 1_500,
    leaseMs: 3_000,
  },
  /** No broker for a while. */
  outage: {
    ...calm,
    durationMs: 16_000,
    faults: ['broker_killed'],
    faultEveryMs: 8_000,
    env: { SLUICE_MAX_ATTEMPTS: '3' },
  },
  /** A broker that refuses some records, and later takes them. */
  refusals: {
    ...calm,
    durationMs: 12_000,
    faults: ['timestamps_refused', 'message_limit_lowered'],
    faultEveryMs: 2_000,
  },
  /** A database that is lost and found, with answers in doubt. */
  database: {
    ...calm,
    durationMs: 14_000,
    faults: ['postgres_answers_swallowed', 'replica_killed', 'backends_terminated'],
    faultEveryMs: 1_800,
    leaseMs: 3_000,
  },
  /** One topic is away, the others are not. */
  topic: { ...calm, durationMs: 12_000, faults: ['topic_deleted'], faultEveryMs: 4_000 },
} as const satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof scenarios
