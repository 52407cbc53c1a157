import type { AdmissionCampaignOptions } from './campaign.ts'

/** A short campaign in which one kind of mistake shows soon. */
export type AdmissionScenario = Pick<
  AdmissionCampaignOptions,
  'seed' | 'joins' | 'rooms' | 'capacity' | 'stayMsMax' | 'faults' | 'faultEveryMs' | 'deadlineMs'
>

const calm: AdmissionScenario = {
  seed: 11,
  joins: 400,
  rooms: 1,
  capacity: 15,
  stayMsMax: 150,
  faults: [],
  faultEveryMs: 1_000,
  deadlineMs: 40_000,
}

export const admissionScenarios = {
  /** No fault at all: whatever is wrong then is wrong always. */
  calm,
  /** So few that no request brings a turn about when a lease is over. */
  few: { ...calm, joins: 60, seed: 2 },
} satisfies Record<string, AdmissionScenario>

export type AdmissionScenarioName = keyof typeof admissionScenarios
