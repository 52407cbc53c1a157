import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts, PORT_ATTEMPTS_MAX, PORT_TAKEN } from './free-port.ts'
import { findJava } from './java.ts'
import { kafkaJars } from './kafka-jars.ts'
import { NODE_SETTINGS } from './kafka-settings.ts'
import { PartProcess, runToEnd } from './part-process.ts'
import { awaitProbe, probeKafka } from './readiness.ts'
import type { StartContext, StartedPart } from './started.ts'

const FORMAT_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 90_000
const END_STEPS = [{ signal: 'SIGTERM', waitMs: 8_000 }] as const
/** For a program that lives for a second: compile and collect as cheaply as possible. */
const SHORT_LIVED = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

interface Node {
  readonly java: string
  readonly classPath: string
  readonly folder: string
  readonly clusterId: string
  readonly env: NodeJS.ProcessEnv
}

/** A new Kafka cluster of one node on 127.0.0.1, with its data in the context's folder. */
export async function startEmbeddedKafka(context: StartContext): Promise<StartedPart> {
  const java = await findJava(context.env)
  const jars = await kafkaJars(context)
  const folder = join(context.folder, 'kafka')
  await mkdir(folder)
  const node: Node = {
    java,
    classPath: join(jars, '*'),
    folder,
    // Its first character may be a hyphen, which the storage tool would take for an option.
    clusterId: `S${randomBytes(16).toString('base64url').slice(1)}`,
    env: context.env,
  }
  for (let attempt = 1; ; attempt++) {
    const [port, controllerPort] = (await freePorts(2)) as [number, number]
    await writeFile(settingsFile(node), settingsText(node, port, controllerPort))
    if (attempt === 1) await format(node, context.signal)
    const part = await startOn(port, node, context.signal, attempt)
    if (part) return part
  }
}

function settingsFile(node: Node): string {
  return join(node.folder, 'server.properties')
}

function settingsText(node: Node, port: number, controllerPort: number): string {
  const settings = {
    ...NODE_SETTINGS,
    listeners: `CLIENT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'CLIENT',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'log.dirs': join(node.folder, 'data'),
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

async function format(node: Node, signal: AbortSignal): Promise<void> {
  const tool = ['kafka.tools.StorageTool', 'format', '-t', node.clusterId]
  await runToEnd(
    {
      name: 'the storage tool of the embedded Kafka',
      command: node.java,
      args: [...SHORT_LIVED, '-cp', node.classPath, ...tool, '-c', settingsFile(node)],
      cwd: node.folder,
      env: node.env,
      logFile: join(node.folder, 'format.log'),
    },
    FORMAT_TIMEOUT_MS,
    signal,
  )
}

/** Undefined when another process took a port in the meantime and there are attempts left. */
async function startOn(
  port: number,
  node: Node,
  signal: AbortSignal,
  attempt: number,
): Promise<StartedPart | undefined> {
  const process = PartProcess.start({
    name: 'the embedded Kafka',
    command: node.java,
    args: ['-Xmx512m', '-cp', node.classPath, 'kafka.Kafka', settingsFile(node)],
    cwd: node.folder,
    env: node.env,
    logFile: join(node.folder, `kafka-${attempt}.log`),
  })
  const address = `127.0.0.1:${port}`
  try {
    const options = { part: process, timeoutMs: START_TIMEOUT_MS, signal }
    await awaitProbe(() => probeKafka(address, node.clusterId), options)
    return { address, pid: process.pid, ended: process.ended, stop: () => process.stop(END_STEPS) }
  } catch (error) {
    await process.stop(END_STEPS)
    if (attempt < PORT_ATTEMPTS_MAX && process.logged(PORT_TAKEN)) return undefined
    throw error
  }
}
