import type { FrameSource } from './frame-source.ts'
import type { FrameStream } from './frame-stream.ts'

/** What both subscribers show of what they receive. */
export abstract class FrameReceiver {
  protected readonly source: FrameSource

  constructor(source: FrameSource) {
    this.source = source
  }

  /** What was received, for one or more `for await` loops. */
  get frames(): FrameStream {
    return this.source.frames
  }

  /** Records received, those that were no frames too. */
  get received(): number {
    return this.source.received
  }

  /** Records that were no frames, and were passed over. */
  get bad_frames(): number {
    return this.source.bad_frames
  }

  /** Times that the consumer had to begin anew. */
  get crashes(): number {
    return this.source.crashes
  }

  /** Times that records were deleted before they were read. */
  get skips(): number {
    return this.source.skips
  }

  /** False also while the group rebalances. */
  is_connected(): boolean {
    return this.source.connected
  }
}
