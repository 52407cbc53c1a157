import { type ChildProcess, spawn } from 'node:child_process'
import { withDeadline } from '../../../src/internal/deadline.ts'

const END_TIMEOUT_MS = 5_000

/**
 * Reads, line by line, which processes and which mounts there are; when the line to the owner breaks, it ends them and
 * removes the folder.
 */
const SCRIPT = `
pids=; mounts=
while read -r kind rest; do
  case "$kind" in pids) pids=$rest ;; mounts) mounts=$rest ;; esac
done
for pid in $pids; do kill -9 "$pid"; done
for mount in $mounts; do umount -l "$mount"; done
for attempt in 1 2 3 4 5; do rm -rf "$1" && break; sleep 1; done
`

/** A small process that cleans up should this one be killed; in good order there is nothing left for it to do. */
export class OrphanGuard {
  readonly #child: ChildProcess
  readonly #pids = new Set<number>()
  readonly #mounts = new Set<string>()

  /** @param folder is removed when this process is gone, or at `end` */
  constructor(folder: string) {
    // A process group of its own: Ctrl-C in a terminal must not end it before its owner.
    this.#child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#child.stdin?.on('error', () => {})
    this.#child.on('error', () => {})
    this.#child.unref()
  }

  /** Call `forget` as soon as the process has ended: its number may go to another one. */
  watch(...pids: number[]): void {
    for (const pid of pids) this.#pids.add(pid)
    this.#tell()
  }

  forget(...pids: number[]): void {
    for (const pid of pids) this.#pids.delete(pid)
    this.#tell()
  }

  watchMount(folder: string): void {
    this.#mounts.add(folder)
    this.#tell()
  }

  forgetMount(folder: string): void {
    this.#mounts.delete(folder)
    this.#tell()
  }

  /** Ends what is watched, if anything is, and removes the folder. */
  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const ended = new Promise<void>(settle => this.#child.once('exit', () => settle()))
    this.#child.ref()
    this.#child.stdin?.end()
    await withDeadline(ended, END_TIMEOUT_MS, () => new Error('the guard of a test does not end'))
  }

  #tell(): void {
    this.#child.stdin?.write(`pids ${[...this.#pids].join(' ')}\n`)
    this.#child.stdin?.write(`mounts ${[...this.#mounts].join(' ')}\n`)
  }
}
