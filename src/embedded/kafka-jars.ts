import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError, SluiceError } from '../errors.ts'
import { packageRoot } from '../internal/package-root.ts'
import { OTHER_WAYS } from './java.ts'
import { runToEnd } from './part-process.ts'
import type { StartContext } from './started.ts'

const FOLDER = 'kafka-4.1.0'
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000
const VERSION_TIMEOUT_MS = 30_000

/**
 * The folder with Kafka's jars, filled from Maven Central on first use. It appears under its name only when it is
 * complete, so that runs at the same time cannot disturb each other.
 */
export async function kafkaJars(context: StartContext): Promise<string> {
  const folder = join(context.cacheFolder, FOLDER)
  if (existsSync(folder)) return folder
  await requireMaven(context)
  context.onProgress('downloading Kafka 4.1.0 from Maven Central (54 MB, once)')
  const partial = await makePartial(context.cacheFolder)
  try {
    await download(partial, context)
    await rename(partial, folder).catch(error => {
      // Another run has put its own, equal folder there in the meantime.
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return folder
}

async function makePartial(cacheFolder: string): Promise<string> {
  try {
    await mkdir(cacheFolder, { recursive: true })
    const partial = await mkdtemp(join(cacheFolder, `${FOLDER}.partial-`))
    // A cache may be shared: mkdtemp shuts other users out.
    await chmod(partial, 0o755)
    return partial
  } catch (cause) {
    throw new SluiceError(
      'lifecycle',
      `the cache folder ${cacheFolder} cannot be written to: set SLUICE_CACHE to one that can`,
      { cause },
    )
  }
}

async function download(into: string, context: StartContext): Promise<void> {
  const pom = join(packageRoot(), 'src', 'embedded', 'kafka-pom.xml')
  try {
    await maven(
      ['-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${into}`],
      DOWNLOAD_TIMEOUT_MS,
      context,
    )
  } catch (cause) {
    context.signal.throwIfAborted()
    throw new SluiceError(
      'lifecycle',
      `Kafka's jars cannot be had from Maven: ${describeError(cause)}\nGive Maven a repository that it can reach (settings.xml), ${OTHER_WAYS}`,
    )
  }
}

async function requireMaven(context: StartContext): Promise<void> {
  try {
    await maven(['-v'], VERSION_TIMEOUT_MS, context)
  } catch (cause) {
    context.signal.throwIfAborted()
    throw new SluiceError(
      'lifecycle',
      `the embedded Kafka is fetched by Maven, and mvn does not run: install it (Debian: apt-get install maven; macOS: brew install maven), ${OTHER_WAYS}`,
      { cause },
    )
  }
}

async function maven(args: readonly string[], timeoutMs: number, context: StartContext) {
  await runToEnd(
    {
      name: 'mvn',
      command: 'mvn',
      args: ['-q', '-B', '-Dstyle.color=never', ...args],
      cwd: context.folder,
      env: context.env,
      logFile: join(context.folder, 'mvn.log'),
    },
    timeoutMs,
    context.signal,
  )
}
