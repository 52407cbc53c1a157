import { styleText } from 'node:util'

const PLAIN_INTERVAL_MS = 2_000
const LIVE_INTERVAL_MS = 250

type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow'

/** Where the screen writes: standard output, or a stand-in. */
export interface ScreenTarget {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/**
 * Lines of text with one progress line below them. On a terminal the progress line is rewritten in place; elsewhere
 * each is a line of its own.
 */
export class Screen {
  #target: ScreenTarget
  readonly #colour: boolean
  readonly #startedAtMs = performance.now()
  #progress = ''

  constructor(target: ScreenTarget, env: NodeJS.ProcessEnv) {
    this.#target = target
    this.#colour = target.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  }

  /** How often the progress line is worth renewing. */
  get intervalMs(): number {
    return this.#target.isTTY ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS
  }

  line(text: string): void {
    this.#clear()
    this.#target.write(`${text}\n`)
    if (this.#target.isTTY) this.#target.write(this.#progress)
  }

  /** A line with the seconds since the start in front of it. */
  step(text: string): void {
    const seconds = ((performance.now() - this.#startedAtMs) / 1_000).toFixed(1).padStart(6)
    this.line(`${this.style('dim', `${seconds} s`)}  ${text}`)
  }

  progress(text: string): void {
    if (!this.#target.isTTY) {
      this.#target.write(`${text}\n`)
      return
    }
    this.#clear()
    // A line that wraps could not be rewritten in place.
    this.#progress = text.slice(0, (this.#target.columns ?? 80) - 1)
    this.#target.write(this.#progress)
  }

  /** Leaves the progress line where it is and goes on below it. */
  endProgress(): void {
    if (this.#target.isTTY && this.#progress) this.#target.write('\n')
    this.#progress = ''
  }

  /** Shows nothing from now on. */
  close(): void {
    this.endProgress()
    this.#target = { write: () => {} }
  }

  style(style: Style, text: string): string {
    // The decision whether to colour is the constructor's.
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }

  #clear(): void {
    if (this.#target.isTTY) this.#target.write('\r\u001b[2K')
  }
}
