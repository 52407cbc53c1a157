import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../src/embedded/cache-folder.ts'
import { startEmbeddedKafka } from '../../src/embedded/embedded-kafka.ts'
import { freePort } from '../../src/embedded/free-port.ts'
import { findJava } from '../../src/embedded/java.ts'
import { kafkaJars } from '../../src/embedded/kafka-jars.ts'
import { PartProcess } from '../../src/embedded/part-process.ts'
import { awaitProbe, probeKafka } from '../../src/embedded/readiness.ts'
import type { StartContext } from '../../src/embedded/started.ts'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'

const START_TIMEOUT_MS = 60_000

/** A broker of the test's own, to be killed, frozen and started again on the same port with the same data. */
export interface OwnKafka {
  readonly brokers: string[]
  /** Gone at once, as by a power cut. */
  kill(): Promise<void>
  restart(): Promise<void>
  /** Connections stay open and nothing is answered. */
  freeze(): Promise<void>
  thaw(): Promise<void>
}

/** In Docker when the shared parts are there, so that Java is needed only where Docker is not. */
export async function startOwnKafka(t: Scope): Promise<OwnKafka> {
  return process.env.PARTS_KIND === 'docker' ? startContainer(t) : startProcess(t)
}

async function startContainer(t: Scope): Promise<OwnKafka> {
  // The container is removed below; the image of testcontainers' own reaper need not be at hand.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'
  const { findDocker, KAFKA_IMAGE } = await import('../../src/embedded/docker.ts')
  const { Containers } = await import('../../src/embedded/docker-containers.ts')
  const docker = await findDocker()
  if (!docker) throw new Error('Docker does not answer any more')
  const { signal } = new AbortController()
  const containers = new Containers(docker, signal)
  cleanup(t, () => containers.remove())
  const port = await freePort()
  const part = await containers.startKafka(KAFKA_IMAGE, { host: containers.host, port })
  const address = `${containers.host}:${port}`
  const [id = ''] = containers.ids
  const container = docker.container.getById(id)
  const answers = () =>
    awaitProbe(() => probeKafka(address), { part, timeoutMs: START_TIMEOUT_MS, signal })
  await answers()
  return {
    brokers: [address],
    kill: () => container.kill({ signal: 'SIGKILL' }),
    freeze: () => container.pause(),
    thaw: () => container.unpause(),
    restart: async () => {
      await container.start()
      await answers()
    },
  }
}

async function startProcess(t: Scope): Promise<OwnKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-own-kafka-'))
  const stopping = new AbortController()
  const context: StartContext = {
    folder,
    cacheFolder: cacheFolder(process.env),
    env: process.env,
    onProgress: () => {},
    signal: stopping.signal,
  }
  let { pid, ended, address } = await startEmbeddedKafka(context)
  const signal = (name: NodeJS.Signals) => {
    process.kill(pid, name)
  }
  const kill = async () => {
    signal('SIGKILL')
    await ended
  }
  cleanup(t, async () => {
    await kill().catch(() => {})
    await rm(folder, { recursive: true, force: true })
  })
  return {
    brokers: [address],
    kill,
    freeze: async () => {
      signal('SIGSTOP')
    },
    thaw: async () => {
      signal('SIGCONT')
    },
    restart: async () => {
      const home = join(folder, 'kafka')
      const part = PartProcess.start({
        name: 'the restarted Kafka',
        command: await findJava(process.env),
        args: [
          '-Xmx512m',
          '-cp',
          join(await kafkaJars(context), '*'),
          'kafka.Kafka',
          'server.properties',
        ],
        cwd: home,
        env: process.env,
        logFile: join(home, 'restarted.log'),
      })
      await awaitProbe(() => probeKafka(address), {
        part,
        timeoutMs: START_TIMEOUT_MS,
        signal: stopping.signal,
      })
      pid = part.pid
      ended = part.ended
    },
  }
}
