import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SluiceError } from '../errors.ts'

const run = promisify(execFile)
const JAVA_VERSION_MIN = 17
const VERSION_TIMEOUT_MS = 20_000

/** What to do when the embedded Kafka lacks something. */
export const OTHER_WAYS = 'or start Docker, or set DATABASE_URL and KAFKA_BROKERS'

/**
 * The `java` to run Kafka with: of `JAVA_HOME`, else of `PATH`.
 * @throws SluiceError `lifecycle` when it is missing or older than 17
 */
export async function findJava(env: NodeJS.ProcessEnv): Promise<string> {
  const home = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin', 'java') : undefined
  const java = home && existsSync(home) ? home : 'java'
  const cure = `install Java ${JAVA_VERSION_MIN} or newer (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk), ${OTHER_WAYS}`
  const answer = await run(java, ['-version'], { env, timeout: VERSION_TIMEOUT_MS }).catch(
    cause => {
      throw new SluiceError(
        'lifecycle',
        `the embedded Kafka needs Java, and java does not run: ${cure}`,
        {
          cause,
        },
      )
    },
  )
  const version = Number(/version "(\d+)/.exec(answer.stderr + answer.stdout)?.[1])
  if (!(version >= JAVA_VERSION_MIN)) {
    const found = Number.isNaN(version) ? 'one of unknown version' : `Java ${version}`
    throw new SluiceError('lifecycle', `the embedded Kafka cannot run on ${found}: ${cure}`)
  }
  return java
}
