import type { CommitOffset } from '../consumer/record-source.ts'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import type { Assignment } from './kafkajs-assignment.ts'
import type { KafkajsCluster } from './kafkajs-cluster.ts'
import { byTopic } from './kafkajs-positions.ts'
import { REQUEST_TIMEOUT_MS } from './kafkajs-settings.ts'

/**
 * Commits under the generation of the assignment, past kafkajs: its own way resolves without committing once it stops,
 * and repeats a commit that was refused under the next generation, where the partition may be another's.
 */
export class KafkajsCommits {
  readonly #cluster: KafkajsCluster
  readonly #group: string
  #last: Promise<void> = Promise.resolve()

  constructor(cluster: KafkajsCluster, group: string) {
    this.#cluster = cluster
    this.#group = group
  }

  /**
   * One at a time, so that an earlier one cannot arrive after a later one. What is not of the assignment, or would go
   * back, is left out.
   * @param current gives the assignment at the time of sending; null: there is none, and nothing is committed
   * @throws SluiceError `broker`
   */
  commit(offsets: readonly CommitOffset[], current: () => Assignment | null): Promise<void> {
    const turn = this.#last.then(async () => {
      const assignment = current()
      if (assignment === null) return
      const due = offsets.filter(each => {
        const reading = assignment.readingOf(each)
        return reading !== undefined && each.offset > (reading.floor ?? -1n)
      })
      if (due.length > 0) await this.#tell(assignment, due)
    })
    this.#last = turn.catch(() => {})
    return turn
  }

  /** Also offset 0, which tells the group that there is a position. */
  async send({ membership }: Assignment, offsets: readonly CommitOffset[]): Promise<void> {
    const { coordinator, generationId, memberId } = membership
    const broker = await this.#cluster.findBroker({ nodeId: coordinator.nodeId })
    const topics = byTopic(offsets, ({ partition, offset }) => ({
      partition,
      offset: String(offset),
    }))
    const member = { groupId: this.#group, groupGenerationId: generationId, memberId }
    await broker.offsetCommit({ ...member, topics })
  }

  async #tell(assignment: Assignment, offsets: readonly CommitOffset[]): Promise<void> {
    const late = () => new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)
    try {
      await withDeadline(this.send(assignment, offsets), REQUEST_TIMEOUT_MS, late)
    } catch (cause) {
      const message = `offsets of group ${this.#group} were not committed`
      throw new SluiceError('broker', message, { cause, retryable: true })
    }
    for (const each of offsets) {
      const reading = assignment.readingOf(each)
      if (reading) reading.floor = each.offset
    }
  }
}
