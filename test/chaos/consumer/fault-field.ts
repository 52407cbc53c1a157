import type { FaultKind } from '../campaign/fault-kind.ts'
import type { Crew } from './crew.ts'
import type { ConsumerHistory } from './history.ts'
import type { ConsumerStage } from './stage.ts'

/** What faults strike at. */
export interface ConsumerField extends Omit<ConsumerStage, 'topics'> {
  readonly healthy: Crew
  readonly troubled: Crew
  readonly history: ConsumerHistory
}

export type ConsumerFault = FaultKind<ConsumerField>
