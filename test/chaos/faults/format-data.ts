import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NODE_SETTINGS } from '../../../src/embedded/kafka-settings.ts'
import { runToEnd } from '../../../src/embedded/part-process.ts'
import type { StartContext } from '../../../src/embedded/started.ts'

const FORMAT_TIMEOUT_MS = 60_000
const FORMATTER = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
/** In the cache folder; named after the version of Kafka whose features it was made for. */
const TEMPLATE = 'kafka-4.1.0-formatted'
const NAMES_FILE = 'meta.properties'

interface Formatter {
  readonly java: string
  readonly classPath: string
  readonly context: StartContext
}

/**
 * Makes the folders those of brokers 1, 2, … of one new cluster. The storage tool takes longer than all else of a start
 * but the brokers themselves: it runs once and never again, what it made is copied under other names.
 */
export async function formatDataFolders(
  dataFolders: readonly string[],
  formatter: Formatter,
): Promise<void> {
  const template = await formattedTemplate(formatter)
  const clusterId = newId()
  for (const [index, folder] of dataFolders.entries()) {
    await cp(template, folder, { recursive: true })
    const file = join(folder, NAMES_FILE)
    const names = (await readFile(file, 'utf8'))
      .replace(/^cluster\.id=.*$/m, `cluster.id=${clusterId}`)
      .replace(/^node\.id=.*$/m, `node.id=${index + 1}`)
      .replace(/^directory\.id=.*$/m, `directory.id=${newId()}`)
    await writeFile(file, names)
  }
}

async function formattedTemplate({ java, classPath, context }: Formatter): Promise<string> {
  const template = join(context.cacheFolder, TEMPLATE)
  if (existsSync(template)) return template
  const partial = await mkdtemp(`${template}.partial-`)
  // A cache may be shared: mkdtemp shuts other users out.
  await chmod(partial, 0o755)
  const settingsFile = join(context.folder, 'format.properties')
  const settings = {
    ...NODE_SETTINGS,
    'controller.quorum.voters': '1@127.0.0.1:1',
    listeners: 'CLIENT://127.0.0.1:2,CONTROLLER://127.0.0.1:1',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'CLIENT',
    'log.dirs': partial,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
  await writeFile(settingsFile, lines.join(''))
  const tool = ['kafka.tools.StorageTool', 'format', '-t', newId(), '-c', settingsFile]
  try {
    await runToEnd(
      {
        name: 'the storage tool of Kafka',
        command: java,
        args: [...FORMATTER, '-cp', classPath, ...tool],
        cwd: context.folder,
        env: context.env,
        logFile: join(context.folder, 'format.log'),
      },
      FORMAT_TIMEOUT_MS,
      context.signal,
    )
    await rename(partial, template).catch(error => {
      // Another run has put its own, equal folder there in the meantime.
      if (!existsSync(template)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return template
}

/** Its first character may be a hyphen, which the storage tool would take for an option. */
function newId(): string {
  return `S${randomBytes(16).toString('base64url').slice(1)}`
}
