import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { SluiceError } from '../errors.ts'

const run = promisify(execFile)
const NAME = 'postgres'
const COMMAND_TIMEOUT_MS = 10_000

export interface UserIds {
  readonly uid: number
  readonly gid: number
}

/**
 * Whom PostgreSQL runs as when this process is root, which it refuses to run as: the user `postgres`, created when
 * missing. Undefined when this process is not root.
 */
export async function unprivilegedUser(env: NodeJS.ProcessEnv): Promise<UserIds | undefined> {
  if (process.getuid?.() !== 0) return undefined
  return (await idsOf(env)) ?? (await createUser(env))
}

async function idsOf(env: NodeJS.ProcessEnv): Promise<UserIds | undefined> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map(flag => command('id', [flag, NAME], env)))
    return { uid: Number(uid), gid: Number(gid) }
  } catch {
    return undefined
  }
}

async function createUser(env: NodeJS.ProcessEnv): Promise<UserIds> {
  let cause: unknown
  try {
    // Two runs at once: the slower one fails here, and finds the user all the same.
    await command('useradd', ['--system', '--no-create-home', NAME], env)
  } catch (error) {
    cause = error
  }
  const ids = await idsOf(env)
  if (ids) return ids
  throw new SluiceError(
    'lifecycle',
    `PostgreSQL refuses to run as root, and the user ${NAME} cannot be created: create it (useradd --system ${NAME}), or run this as another user`,
    { cause },
  )
}

async function command(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const { stdout } = await run(file, args, { env, timeout: COMMAND_TIMEOUT_MS })
  return stdout.trim()
}
