import { randomBytes } from 'node:crypto'
import { type ContainerRuntimeClient, getContainerRuntimeClient, ImageName } from 'testcontainers'
import { describeError, SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { Containers } from './docker-containers.ts'
import { freePort, PORT_ATTEMPTS_MAX, PORT_TAKEN } from './free-port.ts'
import { awaitProbe, probeKafka, probePostgres } from './readiness.ts'
import type { StartContext, Started } from './started.ts'

const POSTGRES_IMAGE = 'postgres:17-alpine'
export const KAFKA_IMAGE = 'apache/kafka:4.1.0'

const DAEMON_TIMEOUT_MS = 10_000
const PULL_TIMEOUT_MS = 10 * 60_000
const PROBE_TIMEOUT_MS = 60_000
/** A container that is being created when the parts become unwanted is known, and can be removed, after this time. */
const SETTLE_TIMEOUT_MS = 3_000

/** The Docker daemon, or undefined when none answers. */
export async function findDocker(): Promise<ContainerRuntimeClient | undefined> {
  return withDeadline(getContainerRuntimeClient(), DAEMON_TIMEOUT_MS, () => new Error('silent'))
    .then(client => client)
    .catch(() => undefined)
}

/**
 * Both parts in containers of their own, reached through ports of this machine alone.
 * @throws SluiceError `lifecycle`; no container is left behind
 */
export async function startInDocker(
  docker: ContainerRuntimeClient,
  context: StartContext,
): Promise<Started> {
  for (const image of [POSTGRES_IMAGE, KAFKA_IMAGE]) await requireImage(docker, image, context)
  // The failure of one ends the start of the other at once.
  const failed = new AbortController()
  const signal = AbortSignal.any([context.signal, failed.signal])
  const containers = new Containers(docker, signal)
  const starting = [startPostgres(containers, signal), startKafka(containers, signal)] as const
  try {
    const [databaseUrl, kafkaBrokers] = await Promise.race([
      Promise.all(starting),
      abortedFor(0, signal).then(() => Promise.reject(signal.reason)),
    ])
    return {
      kind: 'docker',
      databaseUrl,
      kafkaBrokers,
      pids: [],
      endLines: [`docker rm -f -v ${containers.ids.map(id => id.slice(0, 12)).join(' ')}`],
      needHost: false,
      ended: new Promise(() => {}),
      stop: () => containers.remove(),
    }
  } catch (error) {
    failed.abort()
    await Promise.race([Promise.allSettled(starting), abortedFor(SETTLE_TIMEOUT_MS, signal)])
    await containers.remove()
    throw error
  }
}

/** Resolves that much later than the abort; the starting itself cannot be interrupted. */
function abortedFor(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise(settle => {
    const onAbort = () => setTimeout(settle, durationMs)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}

async function requireImage(
  docker: ContainerRuntimeClient,
  name: string,
  { onProgress, signal }: StartContext,
): Promise<void> {
  const image = ImageName.fromString(name)
  if (await docker.image.exists(image)) return
  signal.throwIfAborted()
  onProgress(`pulling the image ${name} (once)`)
  const text = `the image ${name} is not on this machine and cannot be pulled`
  try {
    await withDeadline(
      Promise.race([docker.image.pull(image), abortedFor(0, signal)]),
      PULL_TIMEOUT_MS,
      () => new Error(`not done in ${PULL_TIMEOUT_MS} ms`),
    )
  } catch (cause) {
    throw new SluiceError('lifecycle', text, { cause })
  }
  signal.throwIfAborted()
  // A pull that fails half-way ends its stream like one that succeeds.
  if (!(await docker.image.exists(image))) throw new SluiceError('lifecycle', text)
}

async function startPostgres(containers: Containers, signal: AbortSignal): Promise<string> {
  const password = randomBytes(16).toString('hex')
  const { port, part } = await containers.startPostgres(POSTGRES_IMAGE, password)
  const url = `postgres://postgres:${password}@${containers.host}:${port}/postgres`
  await awaitProbe(() => probePostgres(url), { part, timeoutMs: PROBE_TIMEOUT_MS, signal })
  return url
}

async function startKafka(containers: Containers, signal: AbortSignal): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const address = { host: containers.host, port: await freePort() }
    try {
      const part = await containers.startKafka(KAFKA_IMAGE, address)
      const broker = `${address.host}:${address.port}`
      await awaitProbe(() => probeKafka(broker), { part, timeoutMs: PROBE_TIMEOUT_MS, signal })
      return broker
    } catch (error) {
      if (attempt === PORT_ATTEMPTS_MAX || !PORT_TAKEN.test(describeError(error))) throw error
    }
  }
}
