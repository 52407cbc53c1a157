import { monotonicMs } from '../internal/monotonic.ts'
import { type PartitionCount, supersedes } from '../relay/cluster-view.ts'
import type { ClientSession, ClusterDescription } from './client-session.ts'
import type { Fault, WayFault } from './fault.ts'

/** A grown topic is noticed after this time at the latest. */
const FRESH_MS = 60_000

const BEHIND: WayFault = {
  of: 'way',
  code: 'partitions_behind',
  message: 'the broker knows fewer partitions of the topic than another one has told of',
  fault: 'broker',
  scope: 'topic',
}

/**
 * How many partitions each topic has, and which cluster says so. Topics are looked up here before a producer hears of
 * them: a kafkajs producer that was once given a missing topic fails for all its other topics too (its issue 1622).
 */
export class TopicDirectory {
  readonly #session: Pick<ClientSession, 'describe' | 'faultOf'>
  readonly #counts = new Map<string, PartitionCount>()
  #clusterId: string | null = null
  #asked = false

  constructor(session: Pick<ClientSession, 'describe' | 'faultOf'>) {
    this.#session = session
  }

  /** Of the last answer; null before the first one. */
  get clusterId(): string | null {
    return this.#clusterId
  }

  /**
   * The number of partitions, or why it cannot be told, for each topic. The first call asks the brokers in any case,
   * so that the cluster's id is known.
   * @param known counts that others have learnt: what is below is asked for again
   * @param least how many partitions events take for granted: a topic may have grown, so it is asked for again
   * @throws whatever keeps the brokers from being asked the first time; later it is the fault of the topics in question
   */
  async partitionsOf(
    topics: ReadonlySet<string>,
    known: readonly PartitionCount[] = [],
    least: ReadonlyMap<string, number> = new Map(),
  ): Promise<Map<string, number | Fault>> {
    const others = new Map(known.map(count => [count.topic, count]))
    const stale = [...topics].filter(
      topic => !this.#isFresh(topic, others.get(topic), least.get(topic) ?? 0),
    )
    const faults = new Map<string, Fault>()
    if (stale.length > 0 || !this.#asked) await this.#learn(stale, others, faults)
    const partitions = new Map<string, number | Fault>()
    for (const topic of topics) {
      const found = this.#counts.get(topic)?.partitions ?? faults.get(topic)
      if (found !== undefined) partitions.set(topic, found)
    }
    return partitions
  }

  /** What is known of these topics. */
  counts(topics: Iterable<string>): PartitionCount[] {
    const found: PartitionCount[] = []
    for (const topic of topics) {
      const count = this.#counts.get(topic)
      if (count !== undefined) found.push(count)
    }
    return found
  }

  #isFresh(topic: string, other: PartitionCount | undefined, least: number): boolean {
    const count = this.#counts.get(topic)
    if (count === undefined || count.partitions < least) return false
    if (monotonicMs() - count.learntAtMs >= FRESH_MS) return false
    return other === undefined || supersedes(count, other)
  }

  async #learn(
    topics: readonly string[],
    others: ReadonlyMap<string, PartitionCount>,
    faults: Map<string, Fault>,
  ): Promise<void> {
    const learntAtMs = monotonicMs()
    const description = await this.#ask(topics)
    this.#clusterId = description.clusterId ?? this.#clusterId
    for (const topic of topics) {
      this.#counts.delete(topic)
      const partitions = description.topics.get(topic)
      if (typeof partitions !== 'number') {
        if (partitions !== undefined) faults.set(topic, partitions)
        continue
      }
      const count = { topic, partitions, learntAtMs }
      const other = others.get(topic)
      if (other === undefined || supersedes(count, other)) this.#counts.set(topic, count)
      else faults.set(topic, BEHIND)
    }
  }

  async #ask(topics: readonly string[]): Promise<ClusterDescription> {
    try {
      const description = await this.#session.describe(topics)
      this.#asked = true
      return description
    } catch (error) {
      if (!this.#asked) throw error
      const fault = this.#session.faultOf(error)
      return { clusterId: null, topics: new Map(topics.map(topic => [topic, fault])) }
    }
  }
}
