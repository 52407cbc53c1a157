import { rm } from 'node:fs/promises'
import { describeError, SluiceError } from '../errors.ts'
import type { FromHost, HostOrder, ToHost } from './host-message.ts'
import type { StartContext, Started } from './started.ts'
import { startWay } from './way.ts'

// The process that owns started parts. It ends them, removes their folder and exits when it is told to (`stop`,
// SIGTERM), when the start fails, when the parts end by themselves, or when the channel to its parent breaks, unless
// they are to stay (`detach`, or `keep` in its order). Containers that are to stay need no owner: the host then
// exits without ending them.

const order = JSON.parse(process.argv[2] ?? '') as HostOrder
const unwanted = new AbortController()
const left = new AbortController()
let started: Started | undefined
let stays = false

process.title = 'sluice parts'
process.on('SIGTERM', () => unwanted.abort())
process.on('SIGINT', () => unwanted.abort())
process.on('message', (message: ToHost) => {
  if (message.type === 'stop') unwanted.abort()
  else if (started) {
    stays = true
    void tell({ type: 'detached', lines: started.endLines })
  }
})
process.on('disconnect', onOrphaned)
// The parent may have died while this file was loading: the event is then in the past.
if (!process.connected) onOrphaned()

try {
  await holdParts()
} catch (error) {
  const code = error instanceof SluiceError ? error.code : 'lifecycle'
  await tell({ type: 'failed', code, message: describeError(error) })
} finally {
  await rm(order.folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
  // Idle sockets to the Docker daemon would keep the process.
  process.exit()
}

function onOrphaned(): void {
  if (!stays) unwanted.abort()
  else if (!started?.needHost) left.abort()
}

async function holdParts(): Promise<void> {
  const context: StartContext = {
    folder: order.folder,
    cacheFolder: order.cacheFolder,
    env: process.env,
    onProgress: text => void tell({ type: 'progress', text }),
    signal: unwanted.signal,
  }
  started = await startWay(order.way, context)
  stays = order.keep
  const { kind, databaseUrl, kafkaBrokers, pids } = started
  await tell({ type: 'ready', kind, databaseUrl, kafkaBrokers, pids })
  await Promise.race([aborted(unwanted.signal), aborted(left.signal), started.ended])
  if (!left.signal.aborted) await started.stop()
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(settle => signal.addEventListener('abort', () => settle(), { once: true }))
}

/** Never rejects: without a parent there is nobody to tell. */
function tell(message: FromHost): Promise<void> {
  return new Promise(settle => {
    if (process.connected && process.send) process.send(message, () => settle())
    else settle()
  })
}
