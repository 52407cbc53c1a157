import type { Mutant } from '../campaign/mutant-tree.ts'
import { mutantsOfDelivery } from './mutants-of-delivery.ts'
import { mutantsOfRoom } from './mutants-of-room.ts'
import type { ConsumerScenarioName } from './scenarios.ts'

export interface ConsumerMutant extends Mutant {
  readonly scenario: ConsumerScenarioName
}

/** All breakages, those of a scenario one after the other. */
export const consumerMutants: readonly ConsumerMutant[] = [
  ...mutantsOfDelivery,
  ...mutantsOfRoom,
].sort((a, b) => a.scenario.localeCompare(b.scenario))
