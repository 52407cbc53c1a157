import { randomUUID } from 'node:crypto'
import { describeError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { openKafka } from '../kafka/connection.ts'
import { KafkajsSockets } from '../kafka/kafkajs-sockets.ts'
import type { Log } from '../telemetry/log.ts'
import type { config } from './config.ts'
import { type AssignmentListener, FrameSource } from './frame-source.ts'
import type { FrameStream } from './frame-stream.ts'
import { partition_tracking } from './partition-tracking.ts'
import { SILENT, type SubscriberOptions } from './subscriber-options.ts'

const DELETE_TIMEOUT_MS = 3_000

/**
 * Reads replies from the partitions of the reply topic that are assigned to this instance, from the moment it joins.
 * With reply_group `instance` those are all, in a group of its own that is deleted in the end.
 */
export class reply_to_subscriber implements AsyncDisposable {
  /** The partitions on which replies can be awaited now. */
  readonly partitions = new partition_tracking()
  readonly #config: config
  readonly #log: Log
  readonly #group: string
  readonly #source: FrameSource
  #connected = false
  #closing: Promise<void> | null = null

  private constructor(settings: config, { logger: log = SILENT, listener }: SubscriberOptions) {
    const { groups, topics, reply_group } = settings
    this.#config = settings
    this.#log = log
    this.#group =
      reply_group === 'instance' ? `${groups.reply_to}-${randomUUID()}` : groups.reply_to
    this.#source = new FrameSource({
      settings,
      topic: topics.reply_to,
      group: this.#group,
      from: 'latest',
      log,
      listener: this.#track(listener),
    })
  }

  /** Opens nothing yet. */
  static create(settings: config, options: SubscriberOptions = {}): reply_to_subscriber {
    return new reply_to_subscriber(settings, options)
  }

  /** What was received, for one or more `for await` loops. */
  get frames(): FrameStream {
    return this.#source.frames
  }

  /** Records received, those that were no frames too. */
  get received(): number {
    return this.#source.received
  }

  /** Records that were no frames, and were passed over. */
  get bad_frames(): number {
    return this.#source.bad_frames
  }

  /** Times that the consumer had to begin anew. */
  get crashes(): number {
    return this.#source.crashes
  }

  /** Times that records were deleted before they were read. */
  get skips(): number {
    return this.#source.skips
  }

  /**
   * Joins the group; may be called again after a failure.
   * @returns once partitions are assigned, perhaps none, and positions are known: a reply that is sent from now on to
   * one of `partitions` will come, as long as that one stays
   * @throws SluiceError `options`: a topic is missing, or the brokers refuse; `broker`: not within connect_timeout_ms;
   * `lifecycle`: closed
   */
  async connect(): Promise<void> {
    await this.#source.connect()
    this.#connected = true
  }

  /** False also while the group rebalances. */
  is_connected(): boolean {
    return this.#source.connected
  }

  /**
   * Gives out no more, waits drain_timeout_ms for loops to ask for their next frame, commits, leaves the group and ends
   * the loops. Called within a loop, it waits for that loop in vain. Never rejects.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  #track(listener: AssignmentListener | undefined): AssignmentListener {
    return {
      assigned: partitions => {
        listener?.assigned(partitions)
        this.partitions.update(partitions.map(({ partition }) => partition))
      },
      revoked: why => {
        this.partitions.update([])
        listener?.revoked(why)
      },
    }
  }

  async #close(): Promise<void> {
    this.partitions.close()
    await this.#source.close()
    if (this.#connected && this.#config.reply_group === 'instance') await this.#deleteGroup()
  }

  /** Nobody else has it; the brokers would keep its offsets for days. */
  async #deleteGroup(): Promise<void> {
    const sockets = new KafkajsSockets()
    const { connection } = this.#config
    const admin = openKafka(connection, DELETE_TIMEOUT_MS, sockets.factory).admin()
    const work = async () => {
      await admin.connect()
      await admin.deleteGroups([this.#group])
      await admin.disconnect()
    }
    try {
      await withDeadline(work(), DELETE_TIMEOUT_MS, () => new Error('no answer in time'))
    } catch (error) {
      const err = describeError(error)
      this.#log.debug({ group: this.#group, err }, 'the group was not deleted, it expires')
    } finally {
      sockets.cut()
    }
  }
}
