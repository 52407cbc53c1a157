import { chmod, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../../../src/embedded/cache-folder.ts'
import { openFolderForAll } from '../../../src/embedded/open-folder.ts'
import type { StartContext } from '../../../src/embedded/started.ts'
import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'
import { OrphanGuard } from './orphan-guard.ts'

/** Where a test's own servers live, and who ends them when the test cannot. */
export interface OwnParts {
  readonly context: StartContext
  readonly guard: OrphanGuard
}

/** The folder goes after the test, or as soon as this process is gone, together with what the guard watches. */
export async function openOwnParts(t: Scope): Promise<OwnParts> {
  const folder = await mkdtemp(join(await openFolderForAll(), 'sluice-faults-'))
  await chmod(folder, 0o711)
  const guard = new OrphanGuard(folder)
  const stopping = new AbortController()
  cleanup(t, async () => {
    stopping.abort()
    await guard.end()
  })
  const context: StartContext = {
    folder,
    cacheFolder: cacheFolder(process.env),
    env: process.env,
    onProgress: () => {},
    signal: stopping.signal,
  }
  return { context, guard }
}
