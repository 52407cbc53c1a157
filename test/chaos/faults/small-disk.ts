import { execFile } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { UserIds } from '../../../src/embedded/unprivileged-user.ts'
import { SluiceError } from '../../../src/errors.ts'
import type { OrphanGuard } from './orphan-guard.ts'

const run = promisify(execFile)
const COMMAND_TIMEOUT_MS = 10_000
const FILLER = 'filler'
const PIECE = Buffer.alloc(64 * 1024)

/** A disk in memory that can be filled up. Linux, as root. */
export class SmallDisk {
  readonly #folder: string
  readonly #guard: OrphanGuard

  private constructor(folder: string, guard: OrphanGuard) {
    this.#folder = folder
    this.#guard = guard
  }

  /**
   * @param folder exists; what it holds is hidden
   * @throws SluiceError `lifecycle` where this process may not mount
   */
  static async mount(
    folder: string,
    options: { bytesMax: number; user: UserIds | undefined; guard: OrphanGuard },
  ): Promise<SmallDisk> {
    const { bytesMax, user, guard } = options
    const owner = user ? `,uid=${user.uid},gid=${user.gid}` : ''
    const settings = `size=${bytesMax},mode=0700${owner}`
    try {
      await run('mount', ['-t', 'tmpfs', '-o', settings, 'tmpfs', folder], LIMIT)
    } catch (cause) {
      throw new SluiceError('lifecycle', 'a small disk needs Linux and the right to mount (root)', {
        cause,
      })
    }
    guard.watchMount(folder)
    return new SmallDisk(folder, guard)
  }

  /** To the last byte. */
  async fill(): Promise<void> {
    const file = await open(join(this.#folder, FILLER), 'a')
    try {
      for (let piece = PIECE; piece.length > 0; ) {
        const written = await file.write(piece).then(
          ({ bytesWritten }) => bytesWritten,
          (error: NodeJS.ErrnoException) => {
            if (error.code === 'ENOSPC') return 0
            throw error
          },
        )
        if (written === 0) piece = piece.subarray(0, piece.length >> 1)
      }
    } finally {
      await file.close()
    }
  }

  async free(): Promise<void> {
    await rm(join(this.#folder, FILLER), { force: true })
  }

  async unmount(): Promise<void> {
    await run('umount', ['-l', this.#folder], LIMIT)
    this.#guard.forgetMount(this.#folder)
  }
}

const LIMIT = { timeout: COMMAND_TIMEOUT_MS }
