import type { ConsumerCampaignOptions } from './campaign.ts'
import type { Spice } from './message-plan.ts'

/** A short campaign, tuned so that one kind of mistake shows soon. */
export type ConsumerScenario = Pick<
  ConsumerCampaignOptions,
  | 'seed'
  | 'durationMs'
  | 'members'
  | 'inBatches'
  | 'faults'
  | 'faultEveryMs'
  | 'recordsPerSecond'
  | 'keys'
  | 'spice'
  | 'attemptsMax'
>

/** Much more of everything than in a long campaign. */
const HOT: Spice = {
  acts: { flaky: 80, bug: 20, retry_at: 60, hold: 15, slow: 40, doomed: 8, poison: 10 },
  unreadable: 10,
  nameless: 3,
  delayed: 50,
  expired: 20,
  expiring: 10,
  unordered: 40,
  twice: 60,
  keyless: 100,
}

const calm: ConsumerScenario = {
  seed: 7,
  durationMs: 6_000,
  members: [1, 2],
  inBatches: false,
  faults: [],
  faultEveryMs: 1_000,
  recordsPerSecond: 50,
  keys: 20,
  spice: HOT,
  attemptsMax: 4,
}

export const consumerScenarios = {
  /** Every kind of message, no fault at all: whatever is wrong then is wrong always. */
  calm,
  /** As `calm`, the healthy group with many messages in one transaction. */
  batches: { ...calm, inBatches: true },
  /** Keys that begin and end to wait all the while, on a slow way to the database: parkers and finishers meet. */
  crowded: {
    ...calm,
    keys: 12,
    durationMs: 12_000,
    faults: ['postgres_slow'],
    faultEveryMs: 1_500,
    spice: { ...HOT, acts: { flaky: 250 }, delayed: 0, keyless: 0, unordered: 0 },
  },
  /** Something that messages need is there and not there; nothing is spent by it. */
  dependency: { ...calm, durationMs: 9_000, faults: ['mail_down'], faultEveryMs: 2_000 },
  /** Held by hand, and let go on. */
  held: {
    ...calm,
    durationMs: 12_000,
    faults: ['group_held'],
    spice: { ...HOT, acts: { ...HOT.acts, hold: 0 } },
  },
  /** Members die at named points of their work. */
  deaths: {
    ...calm,
    durationMs: 12_000,
    faults: ['member_killed_at', 'member_killed'],
    faultEveryMs: 2_000,
  },
  /** Members stand still beyond their leases, in the midst of tasks. */
  frozen: {
    ...calm,
    durationMs: 20_000,
    faults: ['member_frozen'],
    faultEveryMs: 2_500,
    spice: { ...HOT, acts: { slow: 500 }, delayed: 400 },
  },
  /** Commits whose outcome nobody knows. */
  database: {
    ...calm,
    durationMs: 10_000,
    faults: ['commits_in_doubt', 'backends_terminated', 'postgres_reset'],
    faultEveryMs: 1_200,
  },
} satisfies Record<string, ConsumerScenario>

export type ConsumerScenarioName = keyof typeof consumerScenarios
