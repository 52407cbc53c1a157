import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, resolve } from 'node:path'

const OTHERS_MAY_PASS = 0o001

/**
 * The folder for temporary files. For root: one that every user may reach, because PostgreSQL refuses to run as root
 * and must find its data as another user.
 */
export async function openFolderForAll(): Promise<string> {
  if (process.getuid?.() !== 0) return tmpdir()
  for (const folder of [tmpdir(), '/tmp', '/var/tmp']) {
    if (await everyoneMayPass(folder)) return folder
  }
  return tmpdir()
}

/** Whether each folder on the way to `path`, and the path itself, lets every user through. */
export async function everyoneMayPass(path: string): Promise<boolean> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const mode = await stat(folder).then(
      found => found.mode,
      () => 0,
    )
    if ((mode & OTHERS_MAY_PASS) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
