import type { Mutant } from './mutant-tree.ts'
import { mutantsOfOutbox } from './mutants-of-outbox.ts'
import { mutantsOfPublishing } from './mutants-of-publishing.ts'
import { mutantsOfRelay } from './mutants-of-relay.ts'
import type { ScenarioName } from './scenarios.ts'

export interface ListedMutant extends Mutant {
  readonly scenario: ScenarioName
}

/** All breakages, the quick scenarios first. */
export const mutants: readonly ListedMutant[] = [
  ...mutantsOfPublishing,
  ...mutantsOfOutbox,
  ...mutantsOfRelay,
].sort((a, b) => a.scenario.localeCompare(b.scenario))
