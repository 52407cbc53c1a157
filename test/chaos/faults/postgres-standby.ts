import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runToEnd } from '../../../src/embedded/part-process.ts'
import { makeFolder, PostgresNode, type PostgresSettings, writeOwned } from './postgres-node.ts'

const COPY_TIMEOUT_MS = 60_000
/** What a copy of a running server must not keep. */
const NOT_COPIED = ['postmaster.pid', 'postmaster.opts']

/** A copy of a running primary, as pg_basebackup would make it, that follows it once it is started. */
export async function copyAsStandby(
  primary: PostgresNode,
  options: { name: string; port: number; settings: PostgresSettings },
): Promise<PostgresNode> {
  const { program } = primary
  const folder = await makeFolder(program, options.name)
  const data = join(folder, 'data')
  await primary.ask(async sql => {
    // The session must stay: its end would end the backup.
    await sql`select pg_backup_start('standby', fast => true)`
    const command = { command: 'cp', args: ['-R', primary.dataFolder, data], cwd: folder }
    const { user, env, parts } = program
    const logFile = join(folder, 'copy.log')
    const copy = { ...command, name: 'the copy of the data', env, user, logFile }
    await runToEnd(copy, COPY_TIMEOUT_MS, parts.context.signal)
    const [stop] = await sql`select labelfile from pg_backup_stop(wait_for_archive => false)`
    await writeOwned(program, join(data, 'backup_label'), String(stop?.labelfile))
  })
  for (const name of NOT_COPIED) await rm(join(data, name), { force: true })
  await writeOwned(program, join(data, 'standby.signal'), '')
  const { password } = program
  const source = `host=127.0.0.1 port=${primary.port} user=postgres password=${password} application_name=standby`
  const settings = { primary_conninfo: source, hot_standby: 'on', ...options.settings }
  return new PostgresNode(program, { folder, port: options.port, settings })
}
