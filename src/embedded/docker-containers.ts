import type { Readable } from 'node:stream'
import { PostgreSqlContainer } from '@testcontainers/postgresql'
import {
  type ContainerRuntimeClient,
  GenericContainer,
  type StartedTestContainer,
  Wait,
} from 'testcontainers'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { NODE_SETTINGS } from './kafka-settings.ts'
import { tailOf } from './part-process.ts'

const START_TIMEOUT_MS = 120_000
const REMOVE_TIMEOUT_MS = 20_000
const TAIL_CHARACTERS_MAX = 4_096
const POSTGRES_PORT = 5432
const KAFKA_PORT = 9092

/** Stands for a container where a `PartProcess` does for a process. */
interface ContainerPart {
  readonly end: undefined
  failure(what: string): SluiceError
}

/** What happens to each container between its making and its start. */
interface Birth {
  /** Publish ports to this machine alone. */
  readonly local: boolean
  onCreated(id: string): void
}

class Postgres extends PostgreSqlContainer {
  readonly #birth: Birth

  constructor(image: string, birth: Birth) {
    super(image)
    this.#birth = birth
  }

  protected override async beforeContainerCreated(): Promise<void> {
    if (this.#birth.local) bindToLoopback(this.hostConfig.PortBindings)
  }

  protected override async containerCreated(id: string): Promise<void> {
    this.#birth.onCreated(id)
  }
}

class Kafka extends GenericContainer {
  readonly #birth: Birth

  constructor(image: string, birth: Birth) {
    super(image)
    this.#birth = birth
  }

  protected override async beforeContainerCreated(): Promise<void> {
    if (this.#birth.local) bindToLoopback(this.hostConfig.PortBindings)
  }

  protected override async containerCreated(id: string): Promise<void> {
    this.#birth.onCreated(id)
  }
}

/** The containers of one run. Every one that was ever created is removed by `remove`, started or not. */
export class Containers {
  readonly #docker: ContainerRuntimeClient
  readonly #birth: Birth
  readonly #ids: string[] = []
  /** Where their ports are reached. */
  readonly host: string

  constructor(docker: ContainerRuntimeClient, signal: AbortSignal) {
    const { host } = docker.info.containerRuntime
    const local = host === 'localhost' || host === '127.0.0.1'
    this.#docker = docker
    this.host = local ? '127.0.0.1' : host
    this.#birth = {
      local,
      onCreated: id => {
        this.#ids.push(id)
        signal.throwIfAborted()
      },
    }
  }

  get ids(): readonly string[] {
    return this.#ids
  }

  async startPostgres(
    image: string,
    password: string,
  ): Promise<{ port: number; part: ContainerPart }> {
    const container = new Postgres(image, this.#birth)
      .withDatabase('postgres')
      .withUsername('postgres')
      .withPassword(password)
      .withCommand(['postgres', '-c', 'max_connections=200', '-c', 'timezone=UTC'])
      .withWaitStrategy(Wait.forHealthCheck())
    const { started, part } = await start(container, 'PostgreSQL in Docker')
    return { port: started.getMappedPort(POSTGRES_PORT), part }
  }

  /** @param advertised where clients reach the broker: they are told so by the broker itself */
  async startKafka(
    image: string,
    advertised: { readonly host: string; readonly port: number },
  ): Promise<ContainerPart> {
    const container = new Kafka(image, this.#birth)
      .withExposedPorts({ container: KAFKA_PORT, host: advertised.port })
      .withEnvironment(kafkaEnvironment(`${advertised.host}:${advertised.port}`))
      .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    return (await start(container, 'Kafka in Docker')).part
  }

  /** Never rejects: what is left is named by a label of testcontainers. */
  async remove(): Promise<void> {
    const removals = this.#ids.map(async id => {
      await this.#docker.container.getById(id).remove({ force: true, v: true })
    })
    await withDeadline(
      Promise.allSettled(removals),
      REMOVE_TIMEOUT_MS,
      () => new Error('too slow'),
    ).catch(() => {})
  }
}

async function start(
  container: GenericContainer,
  name: string,
): Promise<{ started: StartedTestContainer; part: ContainerPart }> {
  let tail = ''
  container.withStartupTimeout(START_TIMEOUT_MS).withLogConsumer((stream: Readable) => {
    stream.on('data', (chunk: unknown) => {
      tail = (tail + String(chunk)).slice(-TAIL_CHARACTERS_MAX)
    })
  })
  const part: ContainerPart = {
    end: undefined,
    failure: what => new SluiceError('lifecycle', `${name} ${what}${tailOf(tail)}`),
  }
  try {
    return { started: await container.start(), part }
  } catch (cause) {
    throw new SluiceError('lifecycle', part.failure('did not start').message, { cause })
  }
}

function kafkaEnvironment(advertised: string): Record<string, string> {
  const settings: Record<string, string> = {
    ...NODE_SETTINGS,
    listeners: `CLIENT://0.0.0.0:${KAFKA_PORT},INNER://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093`,
    // The broker also calls itself, and the clients' address need not lead to it from inside.
    'advertised.listeners': `CLIENT://${advertised},INNER://127.0.0.1:9094`,
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'INNER',
    'controller.quorum.voters': '1@127.0.0.1:9093',
  }
  const names = Object.entries(settings).map(([name, value]) => [
    `KAFKA_${name.replaceAll('.', '_').toUpperCase()}`,
    value,
  ])
  return { ...Object.fromEntries(names), KAFKA_HEAP_OPTS: '-Xmx512m' }
}

function bindToLoopback(ports: unknown): void {
  for (const bindings of Object.values(ports as Record<string, { HostIp?: string }[]>)) {
    for (const binding of bindings) binding.HostIp = '127.0.0.1'
  }
}
