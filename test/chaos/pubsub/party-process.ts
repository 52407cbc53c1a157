import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { PubsubHistory } from './history.ts'
import {
  ANSWER_TO,
  type PartyAnswer,
  type PartyOrder,
  type PartySpec,
  type Role,
} from './party-spec.ts'

const PROGRAM = fileURLToPath(new URL('./party.ts', import.meta.url))
const ANSWER_DEADLINE_MS = 90_000

/** A requester's or a worker's process; its end is told to the history. */
export class PartyProcess {
  readonly #child: ChildProcess
  readonly name: string
  readonly role: Role
  /** Resolves with the exit code or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly #joined: Promise<void>
  #asked: NodeJS.Signals | null = null
  #frozen = false

  constructor(spec: PartySpec, { history }: { history: PubsubHistory }) {
    this.name = spec.name
    this.role = spec.role
    const { PATH, HOME, TMPDIR } = process.env
    this.#child = spawn(process.execPath, ['--import', 'tsx', PROGRAM], {
      env: { PATH, HOME, TMPDIR, CHAOS_PARTY: JSON.stringify(spec) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    process.once('exit', this.#killAtExit)
    const said = createWriteStream(`${spec.logFile}.err`, { flags: 'a' })
    this.#child.stderr?.pipe(said, { end: false })
    this.#child.stdout?.pipe(said, { end: false })
    this.#joined = this.#answered('joined')
    this.#joined.catch(() => {})
    this.ended = once(this.#child, 'exit').then(([code, signal]) => {
      process.off('exit', this.#killAtExit)
      said.end()
      const how = code ?? signal
      const who = { party: this.name, role: this.role }
      history.tell({ kind: 'party_exited', atMs: Date.now(), ...who, asked: this.#asked, how })
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

  /** Resolves once it is connected for the first time. */
  joined(): Promise<void> {
    return this.#joined
  }

  /** Does not wait. */
  signal(signal: NodeJS.Signals): void {
    // The first counts: what has to be killed after a SIGTERM has not ended in time.
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#asked ??= signal
    if (signal === 'SIGSTOP') this.#frozen = true
    if (signal === 'SIGCONT') this.#frozen = false
    this.#child.kill(signal)
  }

  /** @throws when it ends, fails or does not answer in time */
  async ask(order: PartyOrder): Promise<void> {
    const answered = this.#answered(ANSWER_TO[order])
    if (this.#child.connected) this.#child.send(order, () => {})
    await answered
  }

  async #answered(wanted: PartyAnswer): Promise<void> {
    const over = new AbortController()
    const { signal } = over
    const heard = (async () => {
      for (;;) {
        const [told] = (await once(this.#child, 'message', { signal })) as [PartyAnswer]
        if (told === wanted || told === 'failed') return told
      }
    })()
    const gone = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error(`${this.name} has ended`)
    })
    heard.catch(() => {})
    gone.catch(() => {})
    const late = () => new Error(`${this.name} has not ${wanted} within ${ANSWER_DEADLINE_MS} ms`)
    try {
      const told = await withDeadline(Promise.race([heard, gone]), ANSWER_DEADLINE_MS, late)
      if (told === 'failed') throw new Error(`${this.name} has failed`)
    } finally {
      over.abort()
    }
  }

  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }
}
