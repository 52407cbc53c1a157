import { pause } from '../internal/pause.ts'
import { Gauges } from './gauges.ts'
import { count } from './report.ts'
import type { Screen } from './screen.ts'
import type { Shop } from './shop.ts'
import type { Stage } from './stage.ts'

/** Longer than the leases of a relay that was killed. */
const DRAIN_STALL_MS = 60_000

export interface LiveRunOptions {
  readonly stage: Stage
  readonly shop: Shop
  readonly screen: Screen
  /** Aborted: write no more, drain. */
  readonly stop: AbortSignal
}

/** The live part: writing, waiting for Ctrl-C, draining, with the progress line. */
export class LiveRun {
  readonly #stage: Stage
  readonly #shop: Shop
  readonly #screen: Screen
  readonly #stop: AbortSignal
  readonly #gauges: Gauges
  readonly #relayEnded = new AbortController()
  #relayEnd: string | null = null

  constructor({ stage, shop, screen, stop }: LiveRunOptions) {
    this.#stage = stage
    this.#shop = shop
    this.#screen = screen
    this.#stop = stop
    this.#gauges = new Gauges(stage.sql, stage.admin, Object.values(stage.topics))
  }

  /**
   * Returns when the outbox is drained, or does not become shorter any more.
   * @param wanted events the shop was told to write, and whether to go on to the end by itself then
   * @returns how the relay ended, if it ended by itself
   */
  async play(wanted: {
    readonly events: number | undefined
    readonly exit: boolean
  }): Promise<string | null> {
    const { events, exit } = wanted
    const { relay, logFile } = this.#stage
    const watch = relay.ended.then(how => {
      this.#relayEnd = how
      this.#relayEnded.abort()
    })
    const ended = AbortSignal.any([this.#stop, this.#relayEnded.signal])
    await this.#showWhile(this.#shop.run(ended))
    if (events !== undefined && !ended.aborted) {
      this.#screen.endProgress()
      this.#screen.step(
        `${count(this.#shop.committed)} events written${exit ? '' : '; Ctrl-C ends'}`,
      )
      if (!exit) await this.#showWhile(pause(Number.MAX_SAFE_INTEGER, ended))
    }
    if (this.#relayEnd === null) await this.#drain()
    this.#screen.endProgress()
    if (this.#relayEnd !== null) {
      this.#screen.line(`the relay ended by itself (${this.#relayEnd}); its log is ${logFile}`)
      await watch
    }
    return this.#relayEnd
  }

  /** Renews the progress line until the work settles. */
  async #showWhile(work: Promise<void>): Promise<void> {
    const settled = new AbortController()
    const end = work.finally(() => settled.abort())
    const show = async () => {
      while (!settled.signal.aborted) {
        await this.#show()
        await pause(this.#screen.intervalMs, settled.signal)
      }
    }
    await Promise.all([end, show()])
    await this.#show()
  }

  async #drain(): Promise<void> {
    this.#screen.endProgress()
    this.#screen.step('draining')
    let fewest = Number.POSITIVE_INFINITY
    let fewestAtMs = performance.now()
    for (;;) {
      const read = await this.#show()
      if (read && this.#gauges.waiting === 0) return
      if (read && this.#gauges.waiting < fewest) {
        fewest = this.#gauges.waiting
        fewestAtMs = performance.now()
      }
      if (this.#relayEnd !== null) return
      if (performance.now() - fewestAtMs > DRAIN_STALL_MS) {
        this.#screen.endProgress()
        this.#screen.line(
          `not drained: the outbox has not become shorter for ${DRAIN_STALL_MS / 1_000} s`,
        )
        return
      }
      await pause(this.#screen.intervalMs / 2, this.#relayEnded.signal)
    }
  }

  async #show(): Promise<boolean> {
    const read = await this.#gauges.read()
    const { consumer } = this.#stage
    const latency = (share: number) => {
      const ms = consumer.latencyMs(share)
      return ms === null ? '–' : ms < 10 ? ms.toFixed(1) : count(ms)
    }
    const { count: failures } = this.#shop.failures
    const fields = [
      `written ${count(this.#shop.committed)}`,
      `rolled back ${count(this.#shop.rolledBack)}`,
      `published ${count(this.#gauges.published)}`,
      `waiting ${count(this.#gauges.waiting)}`,
      `${count(this.#gauges.ratePerSecond)}/s`,
      `latency p50 ${latency(0.5)} p99 ${latency(0.99)} ms`,
      failures > 0 ? `failed transactions ${count(failures)}` : '',
      read ? '' : 'no answer from PostgreSQL or Kafka',
    ]
    this.#screen.progress(fields.filter(Boolean).join(' · '))
    return read
  }
}
