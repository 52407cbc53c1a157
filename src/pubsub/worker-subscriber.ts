import type { config } from './config.ts'
import { FrameReceiver } from './frame-receiver.ts'
import { FrameSource } from './frame-source.ts'
import { SILENT, type SubscriberOptions } from './subscriber-options.ts'

/**
 * Takes work from the worker topic, shared with the group's other members. A group that has never read begins with
 * the oldest frame. A frame is given out at least once: after a crash those that were not committed come again.
 */
export class worker_subscriber extends FrameReceiver implements AsyncDisposable {
  private constructor(settings: config, { logger: log = SILENT, listener }: SubscriberOptions) {
    const source = new FrameSource({
      settings,
      topic: settings.topics.worker,
      group: settings.groups.worker,
      from: 'earliest',
      log,
      ...(listener && { listener }),
    })
    super(source)
  }

  /** Opens nothing yet. */
  static create(settings: config, options: SubscriberOptions = {}): worker_subscriber {
    return new worker_subscriber(settings, options)
  }

  /**
   * Joins the group; may be called again after a failure.
   * @returns once partitions are assigned, perhaps none, and positions are known: what is sent from now on will come
   * @throws SluiceError `options`: a topic is missing, or the brokers refuse; `broker`: not within connect_timeout_ms;
   * `lifecycle`: closed
   */
  connect(): Promise<void> {
    return this.source.connect()
  }

  /**
   * Gives out no more, waits drain_timeout_ms for loops to ask for their next frame, commits, leaves the group and ends
   * the loops. Called within a loop, it waits for that loop in vain. Never rejects.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.source.close()
  }
}
