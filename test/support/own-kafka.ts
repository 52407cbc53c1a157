import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../src/embedded/cache-folder.ts'
import { startEmbeddedKafka } from '../../src/embedded/embedded-kafka.ts'
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
  freeze(): void
  thaw(): void
}

export async function startOwnKafka(t: Scope): Promise<OwnKafka> {
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
  const signal = (name: NodeJS.Signals) => process.kill(pid, name)
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
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
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
