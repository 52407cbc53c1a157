import { randomUUID } from 'node:crypto'
import { describeError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { openKafka } from '../kafka/connection.ts'
import { KafkajsSockets } from '../kafka/kafkajs-sockets.ts'
import type { Log } from '../telemetry/log.ts'
import type { config } from './config.ts'
import { FrameReceiver } from './frame-receiver.ts'
import { type AssignmentListener, FrameSource } from './frame-source.ts'
import { partition_tracking } from './partition-tracking.ts'
import { SILENT, type SubscriberOptions } from './subscriber-options.ts'

const DELETE_TIMEOUT_MS = 3_000

/**
 * Reads replies from the partitions of the reply topic that are assigned to this instance, from the moment it joins.
 * With reply_group `instance` those are all, in a group of its own that is deleted in the end.
 */
export class reply_to_subscriber extends FrameReceiver implements AsyncDisposable {
  /** The partitions on which replies can be awaited now. */
  readonly partitions: partition_tracking
  readonly #config: config
  readonly #log: Log
  readonly #group: string
  #connected = false
  #closing: Promise<void> | null = null

  private constructor(settings: config, { logger: log = SILENT, listener }: SubscriberOptions) {
    const { groups, topics, reply_group } = settings
    const group =
      reply_group === 'instance' ? `${groups.reply_to}-${randomUUID()}` : groups.reply_to
    const partitions = new partition_tracking()
    const source = new FrameSource({
      ...{ settings, group, log },
      topic: topics.reply_to,
      from: 'latest',
      listener: tracking(partitions, listener),
    })
    super(source)
    this.partitions = partitions
    this.#config = settings
    this.#log = log
    this.#group = group
  }

  /** Opens nothing yet. */
  static create(settings: config, options: SubscriberOptions = {}): reply_to_subscriber {
    return new reply_to_subscriber(settings, options)
  }

  /**
   * Joins the group; may be called again after a failure.
   * @returns once partitions are assigned, perhaps none, and positions are known: a reply that is sent from now on to
   * one of `partitions` will come, as long as that one stays
   * @throws SluiceError `options`: a topic is missing, or the brokers refuse; `broker`: not within connect_timeout_ms;
   * `lifecycle`: closed
   */
  async connect(): Promise<void> {
    await this.source.connect()
    this.#connected = true
  }

  /**
   * Gives out no more, waits drain_timeout_ms for loops to ask for their next frame, commits, leaves the group and ends
   * the loops. Called within a loop, it waits for that loop in vain. Never rejects.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    this.partitions.close()
    await this.source.close()
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

function tracking(
  partitions: partition_tracking,
  listener: AssignmentListener | undefined,
): AssignmentListener {
  return {
    assigned: assigned => {
      listener?.assigned(assigned)
      partitions.update(assigned.map(({ partition }) => partition))
    },
    revoked: why => {
      partitions.update([])
      listener?.revoked(why)
    },
  }
}
