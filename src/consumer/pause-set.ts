import type { ConsumerListener } from './consumer-events.ts'
import type { RecordSource, TopicPartition } from './record-source.ts'

export type PauseReason = 'back_pressure' | 'held' | 'dependency' | 'full'

export interface PauseSetParts {
  readonly group: string
  readonly source: Pick<RecordSource, 'setPaused'>
  readonly emit: ConsumerListener
}

/** What is paused, computed anew each time: a pause that is switched on and off gets lost, or stuck. */
export class PauseSet {
  readonly #parts: PauseSetParts
  #told = ''
  #reported = ' '

  constructor(parts: PauseSetParts) {
    this.#parts = parts
  }

  /**
   * Tells the source and those who watch, if it is something new to them.
   * @param reasonsOf none: the partition is read
   */
  update<P extends TopicPartition>(
    partitions: readonly P[],
    reasonsOf: (partition: P) => readonly PauseReason[],
  ): void {
    const { group, source, emit } = this.#parts
    const paused: TopicPartition[] = []
    const reasons = new Set<PauseReason>()
    for (const of of partitions) {
      const found = reasonsOf(of)
      if (found.length > 0) paused.push({ topic: of.topic, partition: of.partition })
      for (const reason of found) reasons.add(reason)
    }
    const because = [...reasons].sort()
    const told = paused.map(({ topic, partition }) => `${topic}/${partition}`).join()
    const reported = `${told} ${because.join()}`
    if (told !== this.#told) source.setPaused(paused)
    if (reported !== this.#reported) emit({ kind: 'paused', group, partitions: paused, because })
    this.#told = told
    this.#reported = reported
  }
}
