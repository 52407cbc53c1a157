import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Where downloads are kept between runs: SLUICE_CACHE, else the user's cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.SLUICE_CACHE) return resolve(env.SLUICE_CACHE)
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'sluice')
}
