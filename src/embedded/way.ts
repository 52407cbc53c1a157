import { describeError, SluiceError } from '../errors.ts'
import { startEmbedded } from './embedded.ts'
import type { HostOrder } from './host-message.ts'
import type { StartContext, Started } from './started.ts'

/**
 * Starts the parts in the way that is ordered; with `any`, in Docker if its daemon answers and can run them, else as
 * child processes.
 * @throws SluiceError `lifecycle`; nothing is left running
 */
export async function startWay(way: HostOrder['way'], context: StartContext): Promise<Started> {
  if (way === 'docker') return inDocker(context)
  if (way === 'any') {
    const started = await tryDocker(context)
    if (started) return started
  }
  return startEmbedded(context)
}

async function inDocker(context: StartContext): Promise<Started> {
  const { findDocker, startInDocker } = await loadDocker()
  const docker = await findDocker()
  if (docker) return startInDocker(docker, context)
  throw new SluiceError(
    'lifecycle',
    'SLUICE_INFRA is docker, but no Docker daemon answers this user: start it, or unset SLUICE_INFRA',
  )
}

/** Undefined when there is no daemon, or it cannot run the parts. */
async function tryDocker(context: StartContext): Promise<Started | undefined> {
  try {
    const { findDocker, startInDocker } = await loadDocker()
    const docker = await findDocker()
    return docker && (await startInDocker(docker, context))
  } catch (error) {
    context.signal.throwIfAborted()
    const [reason] = describeError(error).split('\n')
    context.onProgress(
      `Docker is not used, PostgreSQL and Kafka start without it: ${reason?.trim()}`,
    )
    return undefined
  }
}

/** Loaded late, because it takes half a second and is a development dependency. */
async function loadDocker(): Promise<typeof import('./docker.ts')> {
  try {
    return await import('./docker.ts')
  } catch (cause) {
    throw new SluiceError(
      'lifecycle',
      'the npm packages testcontainers and @testcontainers/postgresql are not installed: run npm ci with development packages',
      { cause },
    )
  }
}
