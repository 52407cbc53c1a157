import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { ConsumerHistory } from './history.ts'
import type { MemberAnswer, MemberOrder, MemberSpec } from './member-spec.ts'

const PROGRAM = fileURLToPath(new URL('./member.ts', import.meta.url))
const ANSWER_DEADLINE_MS = 60_000

/** One member's process; its end is told to the history. */
export class MemberProcess {
  readonly #child: ChildProcess
  readonly #history: ConsumerHistory
  readonly name: string
  /** Resolves with the exit code or the signal that ended it. */
  readonly ended: Promise<number | string>
  #asked: { readonly signal: string; readonly atMs: number } | null = null
  #frozen = false
  #joined: Promise<void>

  constructor(spec: MemberSpec, { history }: { history: ConsumerHistory }) {
    this.name = spec.name
    this.#history = history
    const { PATH, HOME, TMPDIR } = process.env
    this.#child = spawn(process.execPath, ['--import', 'tsx', PROGRAM], {
      env: { PATH, HOME, TMPDIR, CHAOS_MEMBER: JSON.stringify(spec) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    process.once('exit', this.#killAtExit)
    const said = createWriteStream(`${spec.logFile}.err`, { flags: 'a' })
    this.#child.stderr?.pipe(said, { end: false })
    this.#child.stdout?.pipe(said, { end: false })
    this.#joined = this.#answered(['joined'])
    this.#joined.catch(() => {})
    this.ended = once(this.#child, 'exit').then(([code, signal]) => {
      process.off('exit', this.#killAtExit)
      said.end()
      const { signal: asked = null, atMs: askedAtMs = null } = this.#asked ?? {}
      const how = code ?? signal
      const { name: member } = this
      this.#history.tell({
        ...{ kind: 'member_exited', atMs: Date.now(), member, asked, askedAtMs, how },
      })
      return how
    })
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** SIGSTOPped. */
  get frozen(): boolean {
    return this.#frozen
  }

  /** Resolves once it is in the group for the first time. */
  joined(): Promise<void> {
    return this.#joined
  }

  /** Does not wait. */
  signal(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#note(signal)
    if (signal === 'SIGSTOP') this.#frozen = true
    if (signal === 'SIGCONT') this.#frozen = false
    this.#child.kill(signal)
  }

  /** It will kill itself there. */
  dieAt(at: Extract<MemberOrder, { order: 'die' }>['at']): void {
    this.#note('SIGKILL')
    this.#send({ order: 'die', at })
  }

  /** @throws when it ends, fails or does not answer in time */
  async ask(order: Exclude<MemberOrder['order'], 'die'>): Promise<void> {
    const wanted = { leave: 'left', join: 'joined', hold: 'held', resume: 'resumed' } as const
    const answered = this.#answered([wanted[order], 'failed'])
    this.#send({ order })
    await answered
  }

  /** The first counts: what has to be killed after a SIGTERM has not ended in time. */
  #note(signal: NodeJS.Signals): void {
    this.#asked ??= { signal, atMs: Date.now() }
  }

  #send(order: MemberOrder): void {
    // Its end is told by `ended`.
    if (this.#child.connected) this.#child.send(order, () => {})
  }

  async #answered(wanted: readonly MemberAnswer[]): Promise<void> {
    const over = new AbortController()
    const { signal } = over
    const heard = (async () => {
      for (;;) {
        const [told] = (await once(this.#child, 'message', { signal })) as [MemberAnswer]
        if (wanted.includes(told)) return told
      }
    })()
    const gone = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error(`${this.name} has ended`)
    })
    const answer = Promise.race([heard, gone])
    heard.catch(() => {})
    gone.catch(() => {})
    const late = () =>
      new Error(`${this.name} has not ${wanted[0]} within ${ANSWER_DEADLINE_MS} ms`)
    try {
      const told = await withDeadline(answer, ANSWER_DEADLINE_MS, late)
      if (told === 'failed' && wanted[0] !== 'failed') throw new Error(`${this.name} has failed`)
    } finally {
      over.abort()
    }
  }

  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }
}
