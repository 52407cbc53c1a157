import { withDeadline } from '../internal/deadline.ts'
import type { ConsumerListener } from './consumer-events.ts'
import type { CommitOffset, RecordSource, TopicPartition } from './record-source.ts'

/** A partition as far as commits are concerned. */
export interface Committing extends TopicPartition {
  /** The offset up to which all is finished; null: nothing yet. */
  readonly position: bigint | null
  /** What the group has. */
  committed: bigint | null
}

export interface OffsetCommitsParts {
  readonly group: string
  readonly source: Pick<RecordSource, 'commit'>
  readonly emit: ConsumerListener
  /** How long what is finished may stay uncommitted. */
  readonly everyMs: number
  /** Finished records after which it is not waited for. */
  readonly everyRecords: number
}

/** A commit that has not been answered by then is taken for failed, and repeated. */
const COMMIT_MS = 10_000

/**
 * Commits how far partitions are finished, one request at a time, and never backwards. What fails is committed with
 * the next one.
 */
export class OffsetCommits {
  readonly #parts: OffsetCommitsParts
  readonly #partitions: () => Iterable<Committing>
  #timer: NodeJS.Timeout | null = null
  #finished = 0
  #running: Promise<void> | null = null
  #stopped = false

  /** @param partitions those of now */
  constructor(parts: OffsetCommitsParts, partitions: () => Iterable<Committing>) {
    this.#parts = parts
    this.#partitions = partitions
  }

  /** So many records more are finished. */
  noteFinished(records: number): void {
    this.#finished += records
    if (this.#running !== null || this.#stopped) return
    if (this.#finished >= this.#parts.everyRecords) this.#start()
    else this.#timer ??= setTimeout(() => this.#start(), this.#parts.everyMs)
  }

  /** Commits what is finished now. @returns whether all of it is committed; never rejects */
  async flush(): Promise<boolean> {
    await this.#running
    return await this.#commit()
  }

  /** Ends the timer; what is under way goes on. */
  rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#finished = 0
  }

  /** As `rest`, for good. */
  stop(): void {
    this.#stopped = true
    this.rest()
  }

  #start(): void {
    this.rest()
    this.#running = this.#commit().then(committed => {
      this.#running = null
      const again = !committed || this.#finished > 0
      if (again) this.noteFinished(0)
    })
  }

  async #commit(): Promise<boolean> {
    const ahead: { partition: Committing; offset: bigint }[] = []
    for (const partition of this.#partitions()) {
      const { position: offset, committed } = partition
      if (offset !== null && (committed === null || offset > committed)) {
        ahead.push({ partition, offset })
      }
    }
    if (ahead.length === 0) return true
    const { source, group, emit } = this.#parts
    const offsets: CommitOffset[] = ahead.map(({ partition: { topic, partition }, offset }) => ({
      topic,
      partition,
      offset,
    }))
    try {
      const late = () => new Error(`no answer to a commit of offsets within ${COMMIT_MS} ms`)
      await withDeadline(source.commit(offsets), COMMIT_MS, late)
    } catch (error) {
      emit({ kind: 'commit_failed', group, error })
      return false
    }
    for (const { partition, offset } of ahead) partition.committed = offset
    emit({ kind: 'committed', group, offsets })
    return true
  }
}
