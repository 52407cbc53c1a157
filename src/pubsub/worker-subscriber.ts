import type { config } from './config.ts'
import { FrameSource } from './frame-source.ts'
import type { FrameStream } from './frame-stream.ts'
import { SILENT, type SubscriberOptions } from './subscriber-options.ts'

/**
 * Takes work from the worker topic, shared with the group's other members. A group that has never read begins with
 * the oldest frame. A frame is given out at least once: after a crash those that were not committed come again.
 */
export class worker_subscriber implements AsyncDisposable {
  readonly #source: FrameSource

  private constructor(settings: config, { logger: log = SILENT, listener }: SubscriberOptions) {
    this.#source = new FrameSource({
      settings,
      topic: settings.topics.worker,
      group: settings.groups.worker,
      from: 'earliest',
      log,
      ...(listener && { listener }),
    })
  }

  /** Opens nothing yet. */
  static create(settings: config, options: SubscriberOptions = {}): worker_subscriber {
    return new worker_subscriber(settings, options)
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
   * @returns once partitions are assigned, perhaps none, and positions are known: what is sent from now on will come
   * @throws SluiceError `options`: a topic is missing, or the brokers refuse; `broker`: not within connect_timeout_ms;
   * `lifecycle`: closed
   */
  connect(): Promise<void> {
    return this.#source.connect()
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
    await this.#source.close()
  }
}
